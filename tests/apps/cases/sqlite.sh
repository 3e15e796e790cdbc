sqlite3 t.db 'pragma journal_mode=wal; create table t(id integer primary key, v text); begin;'
sqlite3 t.db <<'X'
begin;
with recursive c(x) as (select 1 union all select x + 1 from c where x < 5000) insert into t select x, 'v' || x from c;
commit;
select count(*), max(v) from t; update t set v = 'z' where id % 2 = 0; select v, count(*) from t where v = 'z'; delete from t where id > 10; vacuum; select * from t; pragma integrity_check;
X
