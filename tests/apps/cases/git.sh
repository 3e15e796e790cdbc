export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
git init -q -b main r; cd r; for i in $(seq 30); do seq $i >f$i; done; git add .; git commit -q -m one; git log --format='%H %s'; echo more >>f1; git status --short; git diff | head -5
git commit -q -am two; git gc -q; git fsck; git count-objects -v | grep in-pack; cd ..; git clone -q r c; cd c; git log --oneline; git checkout -q -b x HEAD~1; git merge -q main; git branch; ls | wc -l; git stash list; git rev-parse HEAD
