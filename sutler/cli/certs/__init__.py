"""`sutler certs`: the webhook's CA and certificate, and who trusts them."""
