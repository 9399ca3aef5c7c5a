"""What training minimises: losses of labels, targets made of what is and is not known, and which items come again."""
