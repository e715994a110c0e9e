/* SPDX-License-Identifier: Apache-2.0
 * The table of commands.  What is done with it stands in launch/commands/command_line.c. */
#include "launch/commands/command_table.h"

#include <stddef.h>

#define OPTIONS(...) ((const ls_option[]){__VA_ARGS__, {0}})

/* Options of commands that write a trace (launch/report/trace.h). */
#define TRACE_OPTIONS                                                                                                  \
    {"trace", "FILE", "write a trace of some steps of all ranks, for chrome://tracing or ui.perfetto.dev"},            \
    {                                                                                                                  \
        "trace-steps", "A-B", "which, counted from the start of the command; default 3-12"                             \
    }

static const char train_help[] =
    "RECIPE is a name (`lockstep recipes ls`) or a YAML file.  key=value overrides any key (`lockstep recipes keys`).\n"
    "The run lives in run.dir, by default runs/<name>: the recipe as merged, metrics.jsonl, report.html, checkpoints "
    "and, at\n"
    "the end, model.safetensors.  The same command line continues a run that was interrupted, on any number of ranks.\n"
    "\n"
    "  lockstep train lenet5-digits\n"
    "  mpirun -np 2 lockstep train lenet5-mnist optim.lr=0.05 train.epochs=3 run.dir=runs/try";

static const char eval_help[] = "RUN is a run's folder, or one of its checkpoints.  Prints loss and accuracy of the "
                                "split to stdout; of text perplexity\n"
                                "and bits per byte.";

static const char predict_help[] =
    "RUN is a run directory, or one of its checkpoints.  The dataset of the run is not needed.\n"
    "\n"
    "Images are PNG or JPEG files; each is scaled to the model's input.  Prints the likeliest classes and their "
    "probabilities.\n"
    "Arrays are one HDF5 file with the inputs of the run (data.inputs).  OUT.h5 gets the predictions: of a regression "
    "the "
    "targets by name,\n"
    "in the units of the training data; of a classification classes and probabilities.  Works on any number of ranks.\n"
    "\n"
    "  lockstep predict runs/lenet5-digits digit.png\n"
    "  mpirun -np 2 lockstep predict runs/wind measured.h5 --out predicted.h5";

static const char generate_help[] =
    "RUN is the folder of a run of a model of language, or one of its checkpoints; or a folder of a GPT-2 as Hugging "
    "Face has it, with\n"
    "config.json, model.safetensors and a tokenizer's files.  The text appears as it is written.  The same seed gives "
    "the same text, on\n"
    "any number of ranks and threads, with and without the cache.\n"
    "\n"
    "--prompt '' goes on from <|endoftext|>: the model begins a text of its own.  A tokenizer without that token "
    "starts it with a new line.\n"
    "\n"
    "  lockstep generate runs/gpt-shakespeare-char --prompt 'ROMEO:' --max-tokens 500 --temperature 0.8\n"
    "  lockstep generate gpt2/ --prompt 'It was' --max-tokens 50 --top-k 40";

static const char explain_help[] =
    "Says what a run of RECIPE will be, without running it: layers with shapes, parameters and flops; the program with "
    "its\n"
    "instructions and collectives; the plan of the memory.\n"
    "\n"
    "Or draws what happens inside a model of language.  The picture of a run's folder goes into it, and into its "
    "report.html; with --png\n"
    "FILE to that file alone.\n"
    "\n"
    "Or simulates a step on N ranks, each on a host of its own like this one: with --link, its timeline and how far it "
    "scales.  Instructions are\n"
    "measured right then; what messages take is computed from RATE, LATENCY and, as RATE,LATENCY,TIME, what a message "
    "costs the\n"
    "processor (default 5us).\n"
    "\n"
    "--attention TEXT  where each head of each layer looks: the softmax weights on TEXT, of a trained RUN\n"
    "--positions       how positions are told apart: the encoding, its dot products, and these by distance; of a RUN "
    "or a RECIPE\n"
    "--scores          why scores are divided by sqrt(d): variance of q k, saturation of the softmax and its gradient "
    "for heads of\n"
    "                  width 8 to 512, with and without; and those of the model, of a RUN or a RECIPE\n"
    "\n"
    "  lockstep explain gpt-shakespeare-char --ranks 8 --link 10Gbit,20us --png steps.png\n"
    "  lockstep explain runs/gpt-shakespeare-char --attention 'to be, or not to be'\n"
    "  lockstep explain runs/gpt-shakespeare-char --positions\n"
    "  lockstep explain attention-unscaled --scores";

static const char import_help[] =
    "mnist DIR OUT: DIR holds the four idx files of MNIST, gzip or not.  OUT becomes a folder with train.h5 and "
    "test.h5.\n"
    "\n"
    "text FILE ... OUT: the files are one text in UTF-8, each a document; what is not UTF-8 is replaced and counted.  "
    "OUT becomes a\n"
    "folder with train.h5, valid.h5 (the last part of the text) and the tokenizer.json that they were made with.  A "
    "text of any\n"
    "length goes through in pieces.\n"
    "\n"
    "  lockstep data import text book.txt data/book --tokenizer bpe --vocab 4096\n"
    "  lockstep data import text *.txt data/books --tokenizer gpt2/tokenizer.json --shards 8\n"
    "\n"
    "csv FILE OUT: FILE has a line with the names of its columns.  OUT becomes a folder with train.h5 and valid.h5: "
    "/x\n"
    "(rows x features, float64) and /y (the targets).  A target with text becomes class indices and /class_names.\n"
    "\n"
    "  lockstep data import csv wine.csv data/wine --target quality --drop id --valid 0.2";

static const char fetch_help[] =
    "Downloads a data set from its public home, checks it against known checksums and imports it.  With\n"
    "LOCKSTEP_DATA=DIR in the environment, local copies in DIR/<name> are taken instead.";

static const char tokenizer_help[] = "Learns from text files how to write text as tokens, and writes "
                                     "OUT/tokenizer.json, which Hugging Face's `tokenizers` also reads.\n"
                                     "bpe: byte-pair encoding of bytes, as GPT-2's; <|endoftext|> is its last token.  "
                                     "chars: one token for each character of the text.\n"
                                     "Memory depends on the number of different words, not on the length of the text.\n"
                                     "\n"
                                     "  lockstep data train-tokenizer --vocabulary 4096 books/*.txt tokens";

static const char step_help[] = "Trains a few steps on the recipe's data and prints median and best step time, samples "
                                "(and tokens) per second, GFLOP/s and the share of\n"
                                "this machine's measured peak, by kind of instruction.";

static const char overlap_help[] =
    "Takes in turns a step without messages, the sums of its gradients alone, MPI_Allreduce of as many floats, and a "
    "real step, and prints how much\n"
    "of the sums hides behind computation.\n"
    "\n"
    "  cluster/testbed --hosts 4 --rate 1gbit -- lockstep bench overlap gpt-shakespeare-char";

static const char gemm_help[] = "Checks the front door for matrix products against a plain loop and prints, for each "
                                "shape, its rate, that of OpenBLAS\n"
                                "with its right kernels and of oneDNN where found, and the share of the measured peak.";

static const char allreduce_help[] = "Sums floats over all ranks in memory that the ranks of a host share, by "
                                     "messages, and by MPI_Allreduce (in place), in turns, and\n"
                                     "checks every sum.  A line is the median of the turns, of the slowest rank; busbw "
                                     "is algbw x 2 (ranks - 1) / ranks.\n"
                                     "\n"
                                     "  mpirun -np 2 --bind-to none lockstep bench allreduce --bytes 4K-64M";

static const char inspect_text[] = "CHECKPOINT is a folder runs/NAME/checkpoints/step-..., a run (its newest sound "
                                   "checkpoint), or a safetensors file.";
static const char verify_text[] =
    "Compares every file of a checkpoint (or of all of a run) with the checksum in its manifest, and reads every "
    "array.  The exit code is 3 when\n"
    "one is damaged.  `xxh64sum -c manifest.xxh64` in the checkpoint's folder does the first half of it.";
static const char diff_text[]  = "Of each array that differs: how many elements differ in any bit, the largest "
                                 "difference, and the norm of the difference relative to that of\n"
                                 "the first.  CHECKPOINT is a checkpoint, or a run (its newest sound one).";
static const char prune_text[] = "The newest sound checkpoint always stays; damaged ones that are newer than it are "
                                 "removed.  Waits for nobody: while a run is working in the\n"
                                 "folder it is an error.";

const ls_command ls__commands[] = {
    {"train", "RECIPE [key=value ...]", "train, or continue an interrupted run", train_help,
     OPTIONS({"fresh", NULL, "start over: forget the run's checkpoints"},
             {"max-hours", "H", "stop with a checkpoint before H hours are over (exit code 75)"}, TRACE_OPTIONS),
     ls__train_command},
    {"eval", "RUN [key=value ...]", "loss and accuracy of a trained model", eval_help,
     OPTIONS({"split", "NAME", "train, or what is held out: test, valid of text; default that"}), ls__eval_command},
    {"predict", "RUN FILE ...", "predictions of a trained model for images or arrays", predict_help,
     OPTIONS({"top", "N", "images: number of classes to print for each; default 5"},
             {"invert", "WHEN", "images: invert dark on light: auto, yes or no; default auto"},
             {"out", "OUT.h5", "arrays: file for the predictions"}),
     ls__predict_command},
    {"generate", "RUN", "text from a model of language", generate_help,
     OPTIONS({"prompt", "TEXT", "what the text begins with; default a new line"},
             {"prompt-file", "FILE", "the same, from a file"}, {"max-tokens", "N", "tokens to write; default 200"},
             {"temperature", "T", "below 1 safer, above 1 wilder, 0 the likeliest always; default 1"},
             {"top-k", "K", "choose among the K likeliest; default all"},
             {"top-p", "P", "choose among the likeliest that together have P; default 1"},
             {"seed", "N", "another seed, another text; default 1"}, {"no-stop", NULL, "go on after <|endoftext|>"},
             {"no-cache", NULL, "compute the whole window for every token: slower, the same text"},
             {"ids", NULL, "print tokens as numbers"}),
     ls__generate_command},
    {"explain", "RECIPE [key=value ...]", "layers, flops, program, memory; pictures of attention", explain_help,
     OPTIONS({"ranks", "N", "as on N ranks; default 1, with --link 2"},
             {"link", "RATE,LATENCY", "simulate a step on ranks with such links between them: 10Gbit,20us"},
             {"slower", "FACTOR", "with --link: on machines that take FACTOR times as long as this one; default 1"},
             {"steps", "N", "with --link: steps to measure; default 15"},
             {"attention", "TEXT", "draw the attention maps of a run on a text"},
             {"positions", NULL, "draw the encoding of positions"},
             {"scores", NULL, "measure and draw what 1/sqrt(d) does to scores"},
             {"png", "FILE", "where the picture goes instead; with --link: where it goes"}),
     ls__explain_command},
    {"data import", "KIND SOURCE ... OUT", "make a dataset from files in another format: mnist, text, csv", import_help,
     OPTIONS(
         {"shards", "N", "files to cut each split into; default 1"},
         {"tokenizer", "WHICH", "text: bytes, chars, bpe (learnt from the files), or a tokenizer's path; default bpe"},
         {"vocab", "N", "text: tokens that bpe learns; default 8192"},
         {"valid", "FRACTION", "part to hold out, of text its end, of csv random rows; default 0.1, 0 for none"},
         {"target", "NAMES", "csv: columns to predict, separated by commas"},
         {"drop", "NAMES", "csv: columns to leave out, separated by commas"},
         {"named", NULL, "csv: write one array per column, with its name, instead of /x and /y"},
         {"valid-last", NULL, "csv: hold out the last rows instead of random ones (time series)"},
         {"separator", "C",
          "csv: the character between fields; default: comma, semicolon or tab, as in the first line"}),
     ls__data_command},
    {"data fetch", "NAME [OUT]", "get a public data set", fetch_help, NULL, ls__data_command},
    {"data train-tokenizer", "TEXT ... OUT", "learn a tokenizer from text files", tokenizer_help,
     OPTIONS({"kind", "KIND", "bpe or chars; default bpe"}, {"vocabulary", "V", "tokens of kind bpe; default 8192"},
             {"min-count", "N", "bpe: merge no pair that is rarer; default 2"},
             {"words", "N", "bpe: different words to keep in memory; default 4194304"},
             {"end", NULL, "chars: add the token <|endoftext|>"}),
     ls__data_command},
    {"data inspect", "DATASET", "what a data set holds: shapes, classes, tokens, first samples", NULL,
     OPTIONS({"png", "FILE", "where to draw the first samples; default beside the data set"}), ls__data_command},
    {"data verify", "DATASET", "read all of a data set and check it", NULL, NULL, ls__data_command},
    {"recipes ls", "", "the recipes that come with the program", NULL, NULL, ls__recipes_command},
    {"recipes cat", "NAME", "print a recipe", NULL, NULL, ls__recipes_command},
    {"recipes cp", "NAME [FILE]", "copy a recipe into a file of your own", NULL, NULL, ls__recipes_command},
    {"recipes layers", "", "models and layers that a recipe can name, with their attributes", NULL, NULL,
     ls__recipes_command},
    {"recipes keys", "", "every key of a recipe: type, default, meaning", NULL, NULL, ls__recipes_command},
    {"ckpt ls", "RUN", "the checkpoints of a run", NULL, NULL, ls__ckpt_command},
    {"ckpt inspect", "CHECKPOINT", "what a checkpoint or a safetensors file holds", inspect_text, NULL,
     ls__ckpt_command},
    {"ckpt verify", "CHECKPOINT", "whether a checkpoint, or each of a run, is undamaged", verify_text, NULL,
     ls__ckpt_command},
    {"ckpt diff", "CHECKPOINT CHECKPOINT", "which arrays of two checkpoints differ, and by how much", diff_text, NULL,
     ls__ckpt_command},
    {"ckpt prune", "RUN", "remove checkpoints that need not be kept", prune_text,
     OPTIONS({"keep-last", "N", "newest to keep; default 1"},
             {"keep-every", "N", "keep those whose step is a multiple of N"},
             {"no-best", NULL, "do not keep the one with the least loss"},
             {"dry-run", NULL, "only say what would be removed"}),
     ls__ckpt_command},
    {"bench step", "RECIPE [key=value ...]", "how long a training step takes, and where", step_help,
     OPTIONS({"steps", "N", "steps to measure; default 30"},
             {"link", "RATE,LATENCY", "compare with steps simulated as by `lockstep explain --link`"}, TRACE_OPTIONS),
     ls__bench_step},
    {"bench overlap", "RECIPE [key=value ...]", "how much of the sums over ranks hides behind computation",
     overlap_help, OPTIONS({"steps", "N", "turns, of which the median counts; default 15"}), ls__bench_overlap},
    {"bench gemm", "", "rates of matrix products beside other libraries", gemm_help,
     OPTIONS({"threads", "N", "threads; default OMP_NUM_THREADS"},
             {"repeat", "N", "measurements, of which the median counts; default 9"},
             {"shape", "MxNxK|NAME", "only this product and its gradients, or those of the list whose name begins so"}),
     ls__bench_gemm},
    {"bench allreduce", "", "rates of sums over all ranks beside MPI's", allreduce_help,
     OPTIONS(
         {"bytes", "SIZE[-SIZE]", "what is summed, from the first size to the second by factors of 4; default 4K-64M"},
         {"repeat", "N", "turns, of which the median counts; default 9"}),
     ls__bench_allreduce},
    {"doctor", "", "check this machine: what is there, what is missing, what to do", NULL, NULL, ls__doctor_command},
    {0},
};
