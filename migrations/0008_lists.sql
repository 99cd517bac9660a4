-- Dead letters by what they are listed by: a page of any class and state reads what it shows, however
-- many others there are. Letters change their state a few times at most, so the index costs little.
create index dead_letters_list on dead_letters (shard, class, state, id);
