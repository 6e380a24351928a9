"""Traits → plan → documents, chats and controls → gates → corpus."""
