# The servers. Each claims its number when it boots; one that dies is replaced, and the replacement claims the dead one's.

data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

locals {
  settings = {
    ZK_HOSTS_REGISTRY = "s3://${aws_s3_bucket.registry.id}/${var.key}"
    ZK_HOSTS_SIZE     = var.size
    ZK_HOSTS_URL      = var.program_url
    ZK_HOSTS_SHA256   = var.program_sha256
  }
  exports   = [for name, value in local.settings : "export ${name}='${value}'"]
  user_data = join("\n", concat(["#!/bin/sh"], local.exports, [file("${path.module}/../user-data.sh")]))
}

resource "aws_launch_template" "server" {
  name_prefix            = "zookeeper-"
  image_id               = data.aws_ami.debian.id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.server.id]
  user_data              = base64gzip(local.user_data)
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.server.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "zookeeper" }
  }
}

# There is no instance_refresh here: it would go on to the next server before the last one has joined, and stop at the quorum
# guard with two of three down. Replace servers one at a time, each after `zk-hosts status --probe` shows the one before as a
# follower.
resource "aws_autoscaling_group" "server" {
  name_prefix         = "zookeeper-"
  min_size            = var.size
  max_size            = var.size
  desired_capacity    = var.size
  vpc_zone_identifier = var.subnet_ids
  # Otherwise a server would be ended for being in a zone that has one more.
  suspended_processes = ["AZRebalance"]

  launch_template {
    id      = aws_launch_template.server.id
    version = aws_launch_template.server.latest_version
  }

  depends_on = [
    aws_iam_role_policy.register,
    aws_s3_bucket_policy.registry,
    aws_vpc_security_group_egress_rule.server,
    aws_vpc_security_group_ingress_rule.server,
  ]
}
