variable "bucket" {
  description = "The bucket to make for the registry; its name must be free in all of S3."
  type        = string
}

variable "key" {
  description = "The registry's key in the bucket."
  type        = string
  default     = "zk.json"
}

variable "size" {
  description = "How many servers the ensemble has: 3, 5 or 7. Under 3 no dead server's place is taken over without --force."
  type        = number
  default     = 3

  validation {
    condition     = contains([3, 5, 7], var.size)
    error_message = "An ensemble has 3, 5 or 7 servers."
  }
}

variable "vpc_id" {
  description = "The network of the servers."
  type        = string
}

variable "subnet_ids" {
  description = "Their subnets, each in another availability zone, with a way out to S3 and to Debian's packages."
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "The security groups of ZooKeeper's clients."
  type        = set(string)
  default     = []
}

variable "instance_type" {
  description = "The servers' type, of the processor that the program was built for (x86_64 below)."
  type        = string
  default     = "m7i.large"
}

variable "program_url" {
  description = "Where a server that boots gets the zk-hosts binary: an https URL."
  type        = string
}

variable "program_sha256" {
  description = "What sha256sum says of that binary."
  type        = string
}
