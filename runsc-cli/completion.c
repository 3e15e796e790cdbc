/*
 * runsc completion bash|zsh: scripts made of the command and option tables. What an option's value
 * or a command's words can be is read from the names they have in the help.
 */
#include "runsc-cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const struct opt completion_opts[] = {{0}};

enum value_kind { VALUE_NONE, VALUE_WORDS, VALUE_FILE, VALUE_DIR, VALUE_ID };

static enum value_kind kind_of(const char *value)
{
    if (!value)
        return VALUE_NONE;
    if (strchr(value, '|'))
        return VALUE_WORDS;
    if (strcmp(value, "DIR") == 0)
        return VALUE_DIR;
    if (strcmp(value, "ID") == 0)
        return VALUE_ID;
    if (strcmp(value, "FILE") == 0 || strcmp(value, "PATH") == 0 || strncmp(value, "SRC", 3) == 0)
        return VALUE_FILE;
    return VALUE_NONE;
}

/* "a|b|c" as "a b c". */
static void print_words(const char *value)
{
    for (; *value; value++)
        putchar(*value == '|' ? ' ' : *value);
}

static bool takes_value(const struct opt *o)
{
    return o->kind != OPT_FLAG && o->kind != OPT_MAYBE;
}

/* ---- bash ---- */

static void bash_names(const struct opt *o)
{
    for (; o && o->name; o++) {
        if (o->help)
            printf(" --%s", o->name);
    }
}

static void bash_values(const char *command, const struct opt *o)
{
    for (; o && o->name; o++) {
        enum value_kind kind = kind_of(o->value);

        if (!takes_value(o) || kind == VALUE_NONE)
            continue;
        printf("    %s:--%s|%s:-%s", command, o->name, command, o->name);
        if (o->letter)
            printf("|%s:-%c", command, o->letter);
        printf(") ");
        if (kind == VALUE_WORDS) {
            printf("_runsc_words \"");
            print_words(o->value);
            printf("\"");
        } else {
            printf("%s", kind == VALUE_DIR  ? "_runsc_files -d"
                         : kind == VALUE_ID ? "_runsc_words \"$(_runsc_ids)\""
                                            : "_runsc_files -f");
        }
        puts(" ;;");
    }
}

static const char *const bash_head =
    "# bash completion for runsc; made by \"runsc completion bash\".\n"
    "_runsc_ids() { \"${COMP_WORDS[0]}\" list -q 2>/dev/null; }\n"
    "_runsc_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
    "_runsc_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen \"$1\" -- "
    "\"$cur\"); }\n";

/* Words as bash has them: "--a=b" is three. */
static const char *const bash_main =
    "_runsc() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} option= command= i=1 count=0 word\n"
    "    COMPREPLY=()\n"
    "    while ((i < COMP_CWORD)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == -?* && $word != -- && $count -eq 0 ]]; then\n"
    "            if [[ ${COMP_WORDS[i + 1]} == = ]]; then\n"
    "                ((i + 1 == COMP_CWORD)) && cur=\n"
    "                ((i + 2 >= COMP_CWORD)) && option=$word && break\n"
    "                ((i += 2))\n"
    "            elif _runsc_takes_value \"$command:$word\"; then\n"
    "                ((i + 1 == COMP_CWORD)) && option=$word && break\n"
    "                ((i += 1))\n"
    "            fi\n"
    "        elif [[ -z $command ]]; then\n"
    "            command=$word\n"
    "        elif [[ $word != -- ]]; then\n"
    "            ((count += 1))\n"
    "        fi\n"
    "        ((i += 1))\n"
    "    done\n"
    "    if [[ -n $option ]]; then\n"
    "        _runsc_value \"$command:$option\"\n"
    "    elif [[ $cur == -* && $count -eq 0 ]]; then\n"
    "        _runsc_words \"$(_runsc_options \"$command\") --help\"\n"
    "    elif [[ -z $command ]]; then\n"
    "        _runsc_words \"$_runsc_commands\"\n"
    "    else\n"
    "        _runsc_argument \"$command:$count\"\n"
    "    fi\n"
    "}\n"
    "complete -F _runsc runsc\n";

/* What the words behind a command's options are: the first one, mostly. */
static void bash_argument(const struct command *c)
{
    const char *a = c->args;

    if (strncmp(a, "ID", 2) == 0 || strncmp(a, "[ID]", 4) == 0)
        printf("    %s:0) _runsc_words \"$(_runsc_ids)\" ;;\n", c->name);
    if (strstr(a, "SIGNAL"))
        printf("    %s:1) mapfile -t COMPREPLY < <(compgen -A signal -- \"$cur\") ;;\n", c->name);
    if (strstr(a, "[--] CMD"))
        printf("    %s:0) mapfile -t COMPREPLY < <(compgen -A command -- \"$cur\") ;;\n"
               "    %s:*) _runsc_files -f ;;\n",
               c->name, c->name);
    if (strncmp(a, "[COMMAND", 8) == 0)
        printf("    %s:0) _runsc_words \"$_runsc_commands syscalls\" ;;\n", c->name);
    if (islower((unsigned char)*a) && strchr(a, '|')) {
        printf("    %s:0) _runsc_words \"", c->name);
        print_words(a);
        printf("\" ;;\n");
    }
}

static void bash_script(void)
{
    printf("%s_runsc_commands=\"", bash_head);
    for (const struct command *c = commands; c->name; c++)
        printf("%s%s", c == commands ? "" : " ", c->name);
    printf("\"\n_runsc_options() {\n    case $1 in\n    '') echo");
    bash_names(global_opts);
    puts(" ;;");
    for (const struct command *c = commands; c->name; c++) {
        printf("    %s) echo", c->name);
        bash_names(c->opts);
        puts(" ;;");
    }
    printf("    esac\n}\n_runsc_takes_value() {\n    case $1 in\n");
    for (const struct command *c = NULL; !c || c->name; c = c ? c + 1 : commands) {
        const struct opt *o = c ? c->opts : global_opts;

        for (; o && o->name; o++) {
            if (takes_value(o))
                printf("    %s:--%s|%s:-%s) return 0 ;;\n", c ? c->name : "", o->name,
                       c ? c->name : "", o->name);
            if (takes_value(o) && o->letter)
                printf("    %s:-%c) return 0 ;;\n", c ? c->name : "", o->letter);
        }
    }
    printf("    esac\n    return 1\n}\n_runsc_value() {\n    case $1 in\n");
    bash_values("", global_opts);
    for (const struct command *c = commands; c->name; c++)
        bash_values(c->name, c->opts);
    printf("    esac\n}\n_runsc_argument() {\n    case $1 in\n");
    for (const struct command *c = commands; c->name; c++)
        bash_argument(c);
    printf("    esac\n}\n%s", bash_main);
}

/* ---- zsh ---- */

/* Inside single quotes and _arguments' own brackets. */
static void zsh_text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *s))
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

static void zsh_value(const struct opt *o)
{
    enum value_kind kind = kind_of(o->value);

    printf(":");
    zsh_text(o->value);
    printf(":");
    if (kind == VALUE_WORDS) {
        printf("(");
        print_words(o->value);
        printf(")");
    } else if (kind == VALUE_DIR) {
        printf("_files -/");
    } else if (kind == VALUE_FILE) {
        printf("_files");
    } else if (kind == VALUE_ID) {
        printf("_runsc_ids");
    } else {
        printf(" ");
    }
}

static void zsh_options(const struct opt *o, const char *indent)
{
    for (; o && o->name; o++) {
        if (!o->help)
            continue;
        printf("%s'%s--%s%s[", indent, o->kind == OPT_LIST ? "*" : "", o->name,
               takes_value(o) ? "=" : "");
        zsh_text(o->help);
        printf("]");
        if (takes_value(o))
            zsh_value(o);
        printf("' \\\n");
    }
}

static void zsh_arguments(const struct command *c)
{
    const char *a = c->args;

    if (strncmp(a, "ID", 2) == 0 || strncmp(a, "[ID]", 4) == 0)
        printf("                '1:container:_runsc_ids' \\\n");
    if (strstr(a, "SIGNAL"))
        printf("                '2:signal:_signals -s' \\\n");
    if (strstr(a, "[--] CMD"))
        printf("                '(-)1:command:_command_names -e' '*::arguments:_normal' \\\n");
    if (strncmp(a, "[COMMAND", 8) == 0)
        printf("                '1:command:_runsc_commands' \\\n");
    if (islower((unsigned char)*a) && strchr(a, '|')) {
        printf("                '1:what:(");
        print_words(a);
        printf(")' \\\n");
    }
}

static void zsh_script(void)
{
    printf("#compdef runsc\n# zsh completion for runsc; made by \"runsc completion zsh\".\n"
           "_runsc_ids() {\n    local -a ids\n    ids=(${(f)\"$(runsc list -q 2>/dev/null)\"})\n"
           "    compadd -a ids\n}\n_runsc_commands() {\n    local -a list\n    list=(\n");
    for (const struct command *c = commands; c->name; c++) {
        printf("        '%s:", c->name);
        zsh_text(c->summary);
        printf("'\n");
    }
    printf("    )\n    _describe command list\n}\n_runsc() {\n"
           "    local curcontext=\"$curcontext\" state line\n    _arguments -C -S \\\n");
    zsh_options(global_opts, "        ");
    printf("        '1:command:_runsc_commands' '*::argument:->rest' && return\n"
           "    case $words[1] in\n");
    for (const struct command *c = commands; c->name; c++) {
        printf("        %s)\n            _arguments -S \\\n", c->name);
        zsh_options(c->opts, "                ");
        zsh_arguments(c);
        printf("                '--help[show help]'\n            ;;\n");
    }
    printf("    esac\n}\nif [[ $funcstack[1] == _runsc ]]; then\n    _runsc \"$@\"\nelse\n"
           "    compdef _runsc runsc\nfi\n");
}

int cmd_completion(const struct global_options *global, void *opts, int argc, char **args,
                   struct cli_error *err)
{
    if (strcmp(args[0], "bash") == 0)
        bash_script();
    else if (strcmp(args[0], "zsh") == 0)
        zsh_script();
    else
        return fail(err, 1, "no completion for %s (there are bash and zsh)", args[0]);
    return 0;
}
