"""Pure policies: values and the present time go in, decisions come out."""
