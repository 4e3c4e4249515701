"""Tools of agents over the Model Context Protocol: what they may read and change, and how."""
