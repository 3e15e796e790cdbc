# A repository of 5,000 files in 50 directories.
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=b GIT_AUTHOR_EMAIL=b@example.com GIT_COMMITTER_NAME=b \
    GIT_COMMITTER_EMAIL=b@example.com
mkdir repo
cd repo
awk -v dirs="$(scaled 50 10)" 'BEGIN {
    for (d = 0; d < dirs; d++) {
        system("mkdir d" d)
        for (f = 0; f < 100; f++) {
            name = "d" d "/file" f ".c"
            for (l = 0; l < 20; l++) print "int v" d "_" f "_" l " = " d * f + l ";" > name
            close(name)
        }
    }
}'
git init -q
timed git-add-commit sh -c 'git add . && git commit -qm first'
timed git-status repeat "$(scaled 5 1)" git status
timed git-gc git -c gc.autoDetach=false gc -q
