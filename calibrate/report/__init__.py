"""What people read: the page, its figures and sentences, the closing table."""
