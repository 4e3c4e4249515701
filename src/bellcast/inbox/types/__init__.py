"""Values of the inbox: notifications, drafts, positions, sends."""
