"""What a GPU computes, how fast, and within what memory, as one page: python -m tools.certify"""
