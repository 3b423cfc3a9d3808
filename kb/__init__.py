"""Maintenance knowledge: documents in, cited passages, proposals and scope tables out."""
