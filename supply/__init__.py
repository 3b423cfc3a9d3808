"""What the gateway is made of: bill of materials, licences, known vulnerabilities."""
