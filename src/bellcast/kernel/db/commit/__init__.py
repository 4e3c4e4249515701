"""The write pipeline: FairQueue, then Batch, then one Writer per engine."""
