"""What roles and client decide: pure functions, without I/O, clock or chance."""
