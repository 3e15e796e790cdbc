# 100,000 inserts in one transaction, and 2,000 in one each: scaled down from 100,000, of which a disk makes hours.
many=$(scaled 2000 200)
one=$(scaled 100000 10000)
rows() {
    echo "create table t(a integer primary key, b text);"
    [ "$2" ] && echo "begin;"
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) print "insert into t(b) values(\x27row " i "\x27);" }'
    [ "$2" ] && echo "commit;"
    echo "select count(*) from t;"
}
rows "$one" 1 >one.sql
rows "$many" "" >many.sql
timed sqlite-one-transaction sh -c 'sqlite3 one.db <one.sql'
timed sqlite-many-transactions sh -c 'sqlite3 many.db <many.sql'
