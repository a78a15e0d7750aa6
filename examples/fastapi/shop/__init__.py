"""A small shop: orders come in, invoices go out every night."""
