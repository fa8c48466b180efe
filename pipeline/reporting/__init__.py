"""Tables, plots, the page and the model card, made from files and never from models."""
