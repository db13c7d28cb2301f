"""What an audit may hold a verification rule to, one file each."""
