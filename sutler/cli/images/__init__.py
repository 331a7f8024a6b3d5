"""`sutler images`: RBD images, through Sutler's REST API."""
