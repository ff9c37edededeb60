"""What `bitcorp verify` checks of one partition, from the raw topics alone and with a fold of its own."""
