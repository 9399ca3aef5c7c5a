"""How fast a release answers on the machine that it is measured on."""
