/*
 * The report as one HTML file that needs nothing else: sums, a table that can be filtered, details
 * folded below. What programs wrote is text in it, never markup; a policy in the file lets no
 * script run but the one below, by a number nobody could know. Its look: html_page.c.
 */
#include "runsc-cli/compat/html_page.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

static void html(FILE *out, const char *s)
{
    put_string(out, ESCAPE_HTML, s);
}

static const char *label_of(const struct cell *c)
{
    return c->verdict == VERDICT_SAME ? "fails natively too" : verdict_names[c->verdict];
}

static void print_head(FILE *out, const char *nonce)
{
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
            "style-src 'nonce-%s'; script-src 'nonce-%s'; base-uri 'none'; form-action 'none'\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n"
            "<title>runsc compat</title>\n<style nonce=\"%s\">%s</style></head>\n<body>\n",
            nonce, nonce, nonce, html_style);
}

/* SVG attributes, as a policy without inline styles allows them. */
static void print_bar(const struct compat *c, const struct tally *t, size_t p, FILE *out)
{
    double at = 0;

    fputs("<div class=\"platform\"><h2>", out);
    html(out, c->platforms[p]);
    fputs("</h2>", out);
    if (c->unable[p]) {
        fputs("<p class=\"unable\">", out);
        html(out, c->unable[p]);
        fputs("</p></div>\n", out);
        return;
    }
    fputs("<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\">",
          out);
    for (int v = 0; v < VERDICTS && t->cases; v++) {
        double width = 100.0 * (double)t->verdicts[p][v] / (double)t->cases;

        if (t->verdicts[p][v])
            fprintf(out, "<rect class=\"f-%s\" x=\"%.3f\" y=\"0\" width=\"%.3f\" height=\"4\"/>",
                    verdict_names[v], at, width);
        at += width;
    }
    fputs("</svg><p class=\"counts\">", out);
    for (int v = 0; v < VERDICTS; v++) {
        struct cell as = {.verdict = (enum verdict)v};

        if (t->verdicts[p][v])
            fprintf(out, "<span><i class=\"dot b-%s\"></i>%zu %s</span> ", verdict_names[v],
                    t->verdicts[p][v], label_of(&as));
    }
    fputs("</p></div>\n", out);
}

static void print_summary(const struct compat *c, const struct tally *t, FILE *out)
{
    bool bad = t->unexpected || t->incomplete;
    char now[64];
    time_t seconds = time(NULL);
    struct tm tm;

    strftime(now, sizeof(now), "%Y-%m-%d %H:%M UTC", gmtime_r(&seconds, &tm));
    fprintf(out, "<header><h1>Compatibility</h1><p class=\"verdict %s\">", bad ? "bad" : "good");
    if (bad)
        fprintf(out, "%zu unexpected", t->unexpected);
    else
        fputs("nothing unexpected", out);
    fprintf(out,
            "</p><p class=\"facts\">%zu programs, %zu cases, %.1f s, %s. %s. Written by runsc "
            "compat.</p></header>\n<section class=\"platforms\">\n",
            c->program_count, t->cases, (double)c->us / 1e6,
            c->native ? "compared with native runs" : "without native runs", now);
    for (size_t p = 0; p < c->platform_count; p++)
        print_bar(c, t, p, out);
    fputs("</section>\n", out);
    if (t->known || t->fixed || t->incomplete)
        fprintf(out,
                "<p class=\"facts\">%zu known differences; %zu listed as known that no longer "
                "differ; %zu not run.</p>\n",
                t->known, t->fixed, t->incomplete);
}

/* A button for each verdict that occurs, and for what is unexpected. */
static void print_filters(const struct tally *t, size_t platforms, FILE *out)
{
    fputs("<nav id=\"filters\" hidden><input id=\"search\" type=\"search\" "
          "placeholder=\"Search programs and cases\" aria-label=\"Search\">"
          "<button data-f=\"\" aria-pressed=\"true\">all</button>"
          "<button data-f=\"unexpected\">unexpected</button>",
          out);
    for (int v = 0; v < VERDICTS; v++) {
        struct cell as = {.verdict = (enum verdict)v};
        size_t n = 0;

        for (size_t p = 0; p < platforms; p++)
            n += t->verdicts[p][v];
        if (n)
            fprintf(out, "<button data-f=\"%s\">%s</button>", verdict_names[v], label_of(&as));
    }
    fputs("<button data-f=\"known\">known</button><output id=\"shown\"></output></nav>\n", out);
}

static void print_badge(const struct cell *c, FILE *out)
{
    fprintf(out, "<td><span class=\"badge b-%s%s\">%s</span>", verdict_names[c->verdict],
            c->reason && !c->was_known ? " known" : "", label_of(c));
    if (c->us)
        fprintf(out, " <small>%.2f s</small>", (double)c->us / 1e6);
    fputs("</td>", out);
}

static void print_block(FILE *out, const char *title, const char *s, size_t n)
{
    if (!n)
        return;
    fprintf(out, "<h3>%s</h3><pre>", title);
    put_text(out, ESCAPE_HTML, s, n);
    fputs("</pre>", out);
}

static void print_line(FILE *out, const char *class, const char *side, const char *s)
{
    fprintf(out, "<span class=\"%s\"><b>%s</b> ", class, side);
    if (s)
        html(out, s);
    else
        fputs("<em>(ended before)</em>", out);
    fputs("</span>\n", out);
}

static void print_details(const struct compat *c, size_t p, const struct cell *cell, FILE *out)
{
    fprintf(out, "<details><summary><b>%s</b> %s", c->platforms[p], label_of(cell));
    if (cell->message) {
        fputs(": ", out);
        put_text(out, ESCAPE_HTML, cell->message, strcspn(cell->message, "\n"));
    }
    fputs("</summary>", out);
    if (cell->reason) {
        fputs("<p class=\"reason\">Known: ", out);
        html(out, cell->reason);
        fputs("</p>", out);
    }
    if (cell->message && strchr(cell->message, '\n'))
        print_block(out, "Message", cell->message, strlen(cell->message));
    if (cell->line) {
        fprintf(out, "<h3>First difference: line %zu</h3><pre class=\"diff\">", cell->line);
        print_line(out, "minus", c->native ? "native" : c->platforms[0], cell->expected);
        print_line(out, "plus", c->platforms[p], cell->found);
        fputs("</pre>", out);
    }
    print_block(out, "End of its output", cell->tail.data, cell->tail.size);
    print_block(out, "Last system calls", cell->calls.data, cell->calls.size);
    if (cell->again) {
        fputs("<p class=\"reason\">", out);
        html(out, cell->again);
        fputs("</p>", out);
    }
    fprintf(out, "<p class=\"facts\">exit status %d</p></details>\n", cell->status);
}

static bool has_details(const struct cell *c)
{
    return c->message || c->line || c->tail.size || c->calls.size || c->reason;
}

static void print_row(const struct compat *c, const struct program *p, const struct row *row,
                      FILE *out)
{
    bool details = false;

    fputs("<tbody data-v=\"", out);
    for (size_t i = 0; i < c->platform_count; i++) {
        fprintf(out, "%s%s%s ", verdict_names[row->cells[i].verdict],
                row->cells[i].unexpected ? " unexpected" : "",
                row->cells[i].reason ? " known" : "");
        details |= has_details(&row->cells[i]);
    }
    fputs("\"><tr><td class=\"name\">", out);
    html(out, p->name);
    if (*row->name) {
        fputs(" <span class=\"case\">", out);
        html(out, row->name);
        fputs("</span>", out);
    }
    fprintf(out, "</td><td class=\"kind\">%s</td>", kind_names[p->kind]);
    if (c->native)
        fprintf(out, "<td><span class=\"badge o-%s\">%s</span></td>", outcome_names[row->native],
                outcome_names[row->native]);
    for (size_t i = 0; i < c->platform_count; i++)
        print_badge(&row->cells[i], out);
    fputs("</tr>\n", out);
    if (details) {
        fprintf(out, "<tr class=\"more\"><td colspan=\"%zu\">",
                2 + (size_t)c->native + c->platform_count);
        for (size_t i = 0; i < c->platform_count; i++) {
            if (has_details(&row->cells[i]))
                print_details(c, i, &row->cells[i], out);
        }
        fputs("</td></tr>", out);
    }
    fputs("</tbody>\n", out);
}

void report_html(const struct compat *c, FILE *out)
{
    unsigned char number[16] = {0};
    char nonce[33] = "";
    struct tally t;

    if (getrandom(number, sizeof(number), 0) == sizeof(number)) {
        for (size_t i = 0; i < sizeof(number); i++)
            snprintf(nonce + 2 * i, 3, "%02x", number[i]);
    }
    count_verdicts(c, &t);
    print_head(out, nonce);
    print_summary(c, &t, out);
    print_filters(&t, c->platform_count, out);
    fputs("<main><table><thead><tr><th>program, case</th><th>kind</th>", out);
    if (c->native)
        fputs("<th>native</th>", out);
    for (size_t p = 0; p < c->platform_count; p++)
        fprintf(out, "<th>%s</th>", c->platforms[p]);
    fputs("</tr></thead>\n", out);
    for (size_t i = 0; i < c->unit_count; i++) {
        for (size_t r = 0; r < c->units[i].row_count; r++)
            print_row(c, c->units[i].program, &c->units[i].rows[r], out);
    }
    fprintf(out, "</table></main>\n<script nonce=\"%s\">%s</script>\n</body></html>\n", nonce,
            html_script);
}
