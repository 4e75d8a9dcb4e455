"""The systems that the paper compares with, one file each, behind the interface of `networks.method`."""
