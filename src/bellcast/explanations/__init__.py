"""Why a recipient gets or does not get a notification: what channels, inbox, workflows and live connections know of it."""
