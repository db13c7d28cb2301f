"""Released engines that are judged, a file each: how it is opened, and in which modes."""
