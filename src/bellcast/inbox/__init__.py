"""The durable inbox: notifications, announcements, sends, marks and imports. Commit first, then publish."""
