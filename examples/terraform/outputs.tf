output "registry" {
  description = "What hosts that follow the registry set as ZK_HOSTS_REGISTRY."
  value       = "s3://${aws_s3_bucket.registry.id}/${var.key}"
}

output "sync_policy_arn" {
  description = "What their role needs."
  value       = aws_iam_policy.sync.arn
}

output "autoscaling_group" {
  value = aws_autoscaling_group.server.name
}
