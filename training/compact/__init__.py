"""The wing of what ships: the compact model in control space, its data, losses and stages."""
