"""Tables, figures and pages, drawn from the store and the declarations."""
