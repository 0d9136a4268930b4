# Among the servers: 2888 to the leader; 3888 for elections, and for register, which sees by it whether a holder is alive;
# 2181, by which register asks whether the others serve.

locals {
  ports = { leader = 2888, election = 3888, client = 2181 }
}

resource "aws_security_group" "server" {
  name_prefix = "zookeeper-"
  description = "ZooKeeper servers"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "server" {
  for_each = local.ports

  security_group_id            = aws_security_group.server.id
  description                  = each.key
  referenced_security_group_id = aws_security_group.server.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.server.id
  description                  = "clients"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.ports.client
  to_port                      = local.ports.client
}

resource "aws_vpc_security_group_egress_rule" "server" {
  security_group_id = aws_security_group.server.id
  description       = "S3, packages, the other servers"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
