"""The networks of `mini`: regions of a drawing choose among given colors."""
