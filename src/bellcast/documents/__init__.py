"""Objects that the app defines by key, stored as JSON: types, templates, workflows, preference defaults and others."""
