"""What the webhook, the provisioner and the certificates share."""
