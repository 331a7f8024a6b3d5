"""Code that the webhook, the provisioner and the certificates share, and the command line."""
