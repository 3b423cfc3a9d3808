"""What a gateway under chaos finds on its path; see `sitecustomize`."""
