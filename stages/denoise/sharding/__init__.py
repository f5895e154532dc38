"""How denoise is spread over chips: the mesh, where each weight lies, and what chips send each other."""
