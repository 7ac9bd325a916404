"""What LEO is compared with, without meta-learning."""
