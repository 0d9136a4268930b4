# The servers read and write the registry. Hosts that only follow it, ZooKeeper's clients, need the policy "sync" on the role
# that they have, and nothing more.

data "aws_iam_policy_document" "list" {
  statement {
    sid       = "TellMissingFromForbidden"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.registry.arn]

    condition {
      test     = "StringEquals"
      variable = "s3:prefix"
      values   = [var.key]
    }
  }
}

data "aws_iam_policy_document" "register" {
  source_policy_documents = [data.aws_iam_policy_document.list.json]

  statement {
    sid       = "ReadAndWriteTheRegistry"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.registry.arn}/${var.key}"]
  }
}

data "aws_iam_policy_document" "sync" {
  source_policy_documents = [data.aws_iam_policy_document.list.json]

  statement {
    sid       = "ReadTheRegistry"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.registry.arn}/${var.key}"]
  }
}

data "aws_iam_policy_document" "ec2" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "server" {
  name_prefix        = "zookeeper-"
  assume_role_policy = data.aws_iam_policy_document.ec2.json
}

resource "aws_iam_role_policy" "register" {
  name   = "register"
  role   = aws_iam_role.server.id
  policy = data.aws_iam_policy_document.register.json
}

resource "aws_iam_instance_profile" "server" {
  name_prefix = "zookeeper-"
  role        = aws_iam_role.server.name
}

resource "aws_iam_policy" "sync" {
  name_prefix = "zk-hosts-sync-"
  policy      = data.aws_iam_policy_document.sync.json
}
