# The whole pipeline: records -> folds -> first_level -> stacking -> distill -> export -> report.
#
# jobs/plan.py reads settings and TOMLs once and writes every job as a rule into
# artifacts/<plan>/jobs.mk, included below. Content decides what is stale, not times. Values of
# settings are data: they reach verbs in the environment or quoted. RUN, PYTHON, TRAINER: commands.

##@ Settings: make all PLAN=small DATA=/data/yt8m
PLAN        := demo## which models: a folder of first_level/configs
DATA        :=## a folder of records (or one shard); remembered, as are the next six
UNLABELLED  :=## more records, whose labels are not read: students learn from them
HOLDOUT     :=## share of the videos that no stage trains on (0.1), a file of their ids, or their records
GROUPS      :=## a CSV of id,group: the videos of a group stay together in the holdout and the folds
SKIP_BAD    :=## 1: leaves out, and names, videos with features that are not finite
DESCRIPTION :=## a TOML that names the features of other people's records
STORE       :=## where the decoded records go (ARTIFACTS/PLAN/store)
ARTIFACTS   := artifacts## where results go, in a folder for each plan
JOBS        := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)## jobs at once
THREADS     := 1## threads of a job; JOBS x THREADS should not exceed the cores
MEMORY_MB   := 128## what a job keeps in memory of the data's files
BUDGET_MB   :=## most that an export may take (1000)
DTYPE       :=## how an export's weights are stored: float16, float32 or int8
VIDEOS      :=## videos in the report's browser (200); of plan-cost: all videos
RECORDS     :=## what `make submission` predicts (DATA)
EXPORT      :=## by which export (that of the plan)
OUT         :=## into which file (ARTIFACTS/PLAN/submission.csv)
MODEL       :=## what `make retrain` makes again
PARTITION   :=## what `make download` fetches, such as 2/video/train
SHARDS      := 1,1## and which of its shards: 1,100 is every hundredth, from the first
MIRROR      := us## and from where: us, eu or asia
CONNECTIONS := 4## and how many at a time
PARTS       :=## of `make bench`: "decode rows"; all if empty
SAMPLE      := 20## how many mistakes `make mutants` plants; 0: all
DEVICE      := cpu## of `make plan-cost`: cpu or h200
PYTHON      := .venv/bin/python## the interpreter
TRAINER     :=## starts a training, such as ".venv/bin/torchrun --nproc-per-node=8" (PYTHON)
RUN         :=## stands in front of every job, such as "srun -c 2"

SETTINGS := PLAN DATA UNLABELLED HOLDOUT GROUPS SKIP_BAD DESCRIPTION ARTIFACTS STORE JOBS THREADS MEMORY_MB BUDGET_MB DTYPE VIDEOS \
            RECORDS EXPORT OUT MODEL PARTITION SHARDS MIRROR CONNECTIONS PARTS SAMPLE DEVICE PYTHON TRAINER RUN
override origin_of = $(origin $1)
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command line,$(origin $v)),$v))
$(foreach v,$(filter-out $(SETTINGS) origin_of GIVEN,$(GIVEN)),$(error unknown variable '$v'; allowed: $(SETTINGS)))
# A value is text: nothing in it is expanded, neither here nor where it is passed on.
$(foreach v,$(SETTINGS),$(eval override $v := $$(value $v))$(eval export YT8M_$v := $$(value $v))$(eval unexport $v))
export YT8M_GIVEN := $(GIVEN)
export YT8M_MAKE := $(YT8M_MAKE) $(shell echo $$PPID)
ifneq ($(filter rehearse,$(MAKECMDGOALS)),)
override PLAN := $(PLAN:%_rehearsal=%)_rehearsal
export YT8M_PLAN := $(PLAN)
endif

A       := $(ARTIFACTS)/$(PLAN)
of_plan  = $(patsubst %_rehearsal,%,$(patsubst %_flips,%,$(patsubst %_canary,%,$1)))
PLANS   := $(notdir $(patsubst %/,%,$(wildcard first_level/configs/*/)))
PLANNED := all demo rehearse folds first_level segments stacking distill export evaluate submission table report
VENV    := $(if $(filter .venv/bin/python,$(PYTHON)),.venv/requirements.lock)
override TRAINER := $(or $(TRAINER),$(PYTHON))
open    := (
UNFIT   := ' " \ ` ; : % & | < > [ ] { } * ? ! ~ = ^ , $$ \# $(open) )
unfit    = $(filter-out 1,$(words $1))$(filter -%,$1)$(strip $(foreach c,$(UNFIT),$(findstring $c,$1)))
$(if $(call unfit,$(ARTIFACTS)),$(error ARTIFACTS $(ARTIFACTS): make cannot name files there; choose a folder without spaces, without - at its beginning, and without any of $(UNFIT)))
$(if $(call unfit,$(PLAN))$(if $(filter $(call of_plan,$(PLAN)),$(PLANS)),,no),$(error no plan '$(PLAN)'; plans: $(PLANS)))
$(if $(filter demo,$(MAKECMDGOALS)),$(if $(filter demo,$(PLAN)),,$(error demo is of plan demo; for plan $(PLAN) say: make all PLAN=$(PLAN))))
letters  = $(subst 0,,$(subst 1,,$(subst 2,,$(subst 3,,$(subst 4,,$(subst 5,,$(subst 6,,$(subst 7,,$(subst 8,,$(subst 9,,$1))))))))))
$(foreach v,JOBS THREADS MEMORY_MB,$(if $(filter-out 1,$(words $($v)))$(filter 0,$($v))$(call letters,$($v)),$(error $v $($v): a whole number is needed, 1 or more)))

SHELL         := /bin/sh
MAKEFLAGS     += --no-builtin-rules --no-print-directory $(if $(filter 0,$(MAKELEVEL)),-j$(JOBS))
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help
export OMP_NUM_THREADS := $(THREADS)
export PYTHONUNBUFFERED := 1
# Large blocks of memory in pages of 2 MB, where glibc (from 2.35) and Linux can: 4 % of a training step.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: $(PLANNED) help download test mutants lint format venv models status retrain canary bench torture plan-cost clean live FORCE
FORCE:

# On a terminal the same make runs again in a pipe, below a live view of its jobs.
PLAIN := $(strip $(foreach f,n q t s,$(findstring $f,$(filter-out -%,$(firstword $(MAKEFLAGS))))) $(filter-out 0,$(MAKELEVEL)))
ifneq ($(and $(MAKE_TERMOUT),$(filter-out dumb,$(TERM)),$(filter $(PLANNED),$(MAKECMDGOALS)),$(if $(PLAIN),,live)),)
$(sort $(MAKECMDGOALS)): live ; @:
live: | $(VENV)
	@exec $(PYTHON) -m jobs.live $(MAKECMDGOALS) --make $(MAKE_COMMAND)
else # up to the end of this file

ifneq ($(filter $(PLANNED) $(A)/%,$(MAKECMDGOALS)),)
export YT8M_PLANNED := $(A)/jobs.json
export YT8M_COMMIT  := $(shell git describe --always --dirty=+ 2>/dev/null)
export YT8M_RESTARTED := $(MAKE_RESTARTS)
export YT8M_GOALS   := $(MAKECMDGOALS)
# A dry run has rules of its own: what it supposes is not what a later call has.
export YT8M_DRY     := $(findstring n,$(filter-out -%,$(firstword $(MAKEFLAGS))))
export YT8M_RULES   := $(A)/$(if $(YT8M_DRY),dry,jobs).mk
$(YT8M_RULES): FORCE | $(VENV)
	@$(PYTHON) -m jobs.plan
include $(YT8M_RULES)
endif

##@ The pipeline
all: ## everything, ending with the table and the report
demo: ## the whole pipeline on generated records, in a few minutes
rehearse: ## all of PLAN made small, on generated records, in about an hour
all demo rehearse table:
	@$(PYTHON) -m report.table $(A)/summary.json
	@$(if $(filter demo,$@),$(PYTHON) -m report.denoising $(A))
	@$(if $(filter table,$@),,$(REPORTED))
REPORTED = printf '\nthe report, for a browser: %s\n' $(A)/report.html
folds: ## records -> store, holdout and five folds
first_level: ## every model of PLAN on every fold
stacking: ## trees and networks over the predictions; soft labels
distill: ## the students, on soft labels
first_level stacking distill:
	@cat $(A)/$@/table.txt
export: ## one folder to hand over, within BUDGET_MB: safetensors, JSON, ONNX
segments: ## a branch: 5-second segments by PLAN's models with a table [segments]
	@test -n "$^" || { echo "error: make: no model of plan $(PLAN) has a table [segments]" >&2; exit 2; }
	@$(PYTHON) -m report.segments $(patsubst %/submission.csv,%,$^)

##@ Results
table: ## the table of all systems
report: ## one HTML file: systems, figures, errors, predictions of VIDEOS videos
	@$(REPORTED)
evaluate: ## the export's six figures on the holdout
	@cat $(A)/evaluation.json
submission: ## predictions of RECORDS by EXPORT, into OUT
models: | $(VENV) ## PLAN's models: architecture, inputs, parameters, loss, mixup, figures
	@$(PYTHON) -m first_level.table first_level/configs/$(PLAN) $(A)

##@ A run
status: ## per stage what is done, stale, missing; what `make all` would run, and how long
	@test -x "$$(command -v $(PYTHON))" || { echo "error: make: there is no $(PYTHON) yet; run \`make venv\`" >&2; exit 2; }
	@$(PYTHON) -m jobs.status
retrain: | $(VENV) ## makes one model again: make retrain MODEL=name PLAN=small
	@$(PYTHON) -m jobs.retrain
	@$(MAKE) first_level
canary: | $(VENV) ## PLAN on false labels: is anything better than chance? twice the time of `make all`
	@$(MAKE) folds
	@$(MAKE) stacking distill evaluate PLAN=$(PLAN)_canary
	@$(MAKE) stacking PLAN=$(PLAN)_flips
	@$(PYTHON) -m report.canary $(A) $(A)_canary $(A)_flips $(A)_canary/canary.txt
plan-cost: | $(VENV) ## hours, disk and memory: make plan-cost PLAN=paper VIDEOS=5600000 DEVICE=h200
	@$(PYTHON) -m jobs.cost.plan $(PLAN) --videos "$${YT8M_VIDEOS:-5600000}" --device "$$YT8M_DEVICE" --cores $(JOBS)
clean: ## removes the results of PLAN
	rm -rf $(A)

##@ Data and development
download: | $(VENV) ## public shards into DATA: make download PARTITION=2/video/train SHARDS=1,100 DATA=folder
	@test -n "$$YT8M_PARTITION" -a -n "$$YT8M_DATA" || \
	  { echo "error: make: say PARTITION=2/video/train and DATA=<folder to put it in>" >&2; exit 2; }
	$(RUN) $(PYTHON) -m folds.download "$$YT8M_PARTITION" "$$YT8M_DATA" --shards "$$YT8M_SHARDS" --mirror "$$YT8M_MIRROR" --connections "$$YT8M_CONNECTIONS"
test: | $(VENV) ## the tests
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=15 --durations-min=1
mutants: | $(VENV) ## which of SAMPLE planted mistakes the tests notice
	OMP_NUM_THREADS=1 $(PYTHON) -m bench.mutants --sample "$$YT8M_SAMPLE" --jobs $(JOBS)
lint: | $(VENV) ## ruff and the format check
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
format: | $(VENV) ## writes the format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
bench: | $(VENV) ## ratios to other ways, into bench/results: make bench PARTS="decode rows"
	OMP_NUM_THREADS=$$(( $(JOBS) * $(THREADS) )) $(PYTHON) -m bench.speed.run bench/results --parts "$$YT8M_PARTS"
torture: | $(VENV) ## what a small plan survives: kills, full disks, damaged files; an hour or more
	$(PYTHON) -m bench.torture.run bench/results
venv: .venv/requirements.lock ## the environment, from requirements.lock
.venv/requirements.lock: requirements.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: python3 is older than 3.11; install a newer one" >&2; exit 2; }
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	cp requirements.lock $@.$$$$ && mv $@.$$$$ $@
help: ## this list
	@awk -F ':.*## |:=.*## |##@ ' '/^##@/ { print "\n" $$2 } /^[a-zA-Z_-]+ *:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
endif
