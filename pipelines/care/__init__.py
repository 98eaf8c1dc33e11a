"""What a warehouse needs now and then: one person erased, all of it moved, what is old removed."""
