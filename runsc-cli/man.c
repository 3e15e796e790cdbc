/* Man pages made of the command and option tables: runsc(1), and runsc-NAME(1) for each command. */
#include "runsc-cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text for roff: no line is taken for a request, nothing for an escape. */
static void text(FILE *f, const char *s)
{
    bool start = true;

    for (; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", f);
        if (*s == '\\')
            fputs("\\e", f);
        else if (*s == '-')
            fputs("\\-", f);
        else
            fputc(*s, f);
        start = *s == '\n';
    }
}

/* Options that are the same in C's sense follow in the table's order. */
static void options(FILE *f, const struct opt *o)
{
    for (; o && o->name; o++) {
        if (!o->help)
            continue;
        fputs(".TP\n\\fB\\-\\-", f);
        text(f, o->name);
        fputs("\\fR", f);
        if (o->kind != OPT_FLAG) {
            fputs(o->kind == OPT_MAYBE ? "[=\\fI" : " \\fI", f);
            text(f, o->value);
            fputs(o->kind == OPT_MAYBE ? "\\fR]" : "\\fR", f);
        }
        if (o->letter)
            fprintf(f, ", \\fB\\-%c\\fR", o->letter);
        fputc('\n', f);
        text(f, o->help);
        fputc('\n', f);
    }
}

static void head(FILE *f, const char *name, const char *summary)
{
    fputs(".TH ", f);
    for (const char *s = name; *s; s++)
        fputc(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s, f);
    fprintf(f, " 1 \"\" \"runsc %s\" \"cvisor\"\n.SH NAME\n", RUNSC_VERSION);
    text(f, name);
    fputs(" \\- ", f);
    text(f, summary);
    fputs("\n.SH SYNOPSIS\n", f);
}

void man_command(FILE *f, const struct command *c)
{
    char name[64];

    snprintf(name, sizeof(name), "runsc-%s", c->name);
    head(f, name, c->summary);
    fputs("\\fBrunsc\\fR [\\fIGLOBAL OPTIONS\\fR] \\fB", f);
    text(f, c->name);
    fputs("\\fR", f);
    if (c->opts && c->opts->name)
        fputs(" [\\fIOPTIONS\\fR]", f);
    fputc(' ', f);
    text(f, c->args);
    fputs("\n.SH DESCRIPTION\n", f);
    text(f, c->summary);
    fputs(".\n", f);
    if (c->opts && c->opts->name) {
        fputs(".SH OPTIONS\n", f);
        options(f, c->opts);
    }
    fprintf(f,
            ".SH EXIT STATUS\nThat of the program it runs, where it waits for one (128+N after "
            "signal N); else 0,\nor %d when it fails.\n.SH SEE ALSO\n\\fBrunsc\\fR(1)\n",
            c->failure_status);
}

void man_main(FILE *f)
{
    head(f, "runsc", "run programs and containers under a kernel of their own");
    fputs("\\fBrunsc\\fR [\\fIGLOBAL OPTIONS\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR] "
          "[\\fIARGS\\fR]\n.SH DESCRIPTION\n"
          "Untrusted Linux programs run under cvisor, a kernel that is an ordinary program: their\n"
          "system calls never reach the host's.\n"
          ".B runsc do\nruns a command on the host's own files, what it changes kept in memory; "
          "the other\ncommands are those of an OCI runtime, for containerd, docker, podman and "
          "CRI\\-O.\n.SH COMMANDS\n",
          f);
    for (const struct command *c = commands; c->name; c++) {
        fputs(".TP\n\\fB", f);
        text(f, c->name);
        fputs("\\fR ", f);
        text(f, c->args);
        fputc('\n', f);
        text(f, c->summary);
        fputs(" (\\fBrunsc\\-", f);
        text(f, c->name);
        fputs("\\fR(1))\n", f);
    }
    fputs(".SH GLOBAL OPTIONS\n", f);
    options(f, global_opts);
    fputs(".SH FILES\n.TP\n.I /run/runsc\nState of the containers; an ordinary user's is below\n"
          "$XDG_RUNTIME_DIR.\n.SH EXAMPLES\n.nf\nrunsc do \\-\\- bash\n"
          "runsc spec && runsc run \\-\\-bundle . demo\n.fi\n.SH SEE ALSO\n",
          f);
    for (const struct command *c = commands; c->name; c++) {
        fputs("\\fBrunsc\\-", f);
        text(f, c->name);
        fprintf(f, "\\fR(1)%s\n", c[1].name ? "," : "");
    }
}

static FILE *open_page(const char *dir, const char *name, struct cli_error *err)
{
    char *path;
    FILE *f = NULL;

    if (asprintf(&path, "%s/runsc%s%s.1", dir, *name ? "-" : "", name) < 0) {
        fail(err, 1, "out of memory");
        return NULL;
    }
    f = fopen(path, "we");
    if (!f)
        fail_errno(err, 1, errno, "cannot create %s", path);
    free(path);
    return f;
}

static int close_page(FILE *f, struct cli_error *err)
{
    bool bad = ferror(f);

    return fclose(f) != 0 || bad ? fail(err, 1, "cannot write a man page") : 0;
}

int man_pages(const char *dir, struct cli_error *err)
{
    FILE *f = open_page(dir, "", err);

    if (!f)
        return -1;
    man_main(f);
    if (close_page(f, err) < 0)
        return -1;
    for (const struct command *c = commands; c->name; c++) {
        f = open_page(dir, c->name, err);
        if (!f)
            return -1;
        man_command(f, c);
        if (close_page(f, err) < 0)
            return -1;
    }
    return 0;
}
