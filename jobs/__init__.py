"""What make is to do: the jobs of a plan, their state, their time and their cost."""
