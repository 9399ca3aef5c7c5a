"""How weights move: what trains, at which rate, averaged, accumulated and split over processes."""
