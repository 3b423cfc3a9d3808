"""`andon doctor`: one page of what is wrong and what to do, before and while a gateway runs."""
