# The whole pipeline: records -> folds -> first_level -> stacking -> distill -> export -> table.
#
# One real file per rule, renamed into place when it is complete: there are no stamps, and deleting
# a file rebuilds just it and what depends on it. Configurations and settings enter through snapshots
# that are rewritten only when their content changes; code is no prerequisite.

# ---- settings: make all PLAN=small DATA=/data/yt8m HOLDOUT=0.1 -------------------------------------
SETTINGS := PLAN DATA UNLABELLED ARTIFACTS STORE HOLDOUT DESCRIPTION BUDGET_MB DTYPE VIDEOS JOBS THREADS MEMORY_MB RECORDS EXPORT OUT PYTHON TRAINER RUN PARTITION SHARDS MIRROR CONNECTIONS PARTS DEVICE
override origin_of = $(origin $1)
$(foreach v,$(.VARIABLES),$(if $(filter command line,$(origin $v)),\
  $(if $(filter $v,$(SETTINGS) origin_of),,$(error unknown variable '$v'; allowed: $(SETTINGS)))))

PLAN        := demo
ifneq ($(filter demo,$(MAKECMDGOALS)),)
override PLAN := demo
endif
ARTIFACTS   := artifacts
BUDGET_MB   := 1000
DTYPE       :=
VIDEOS      := 200
JOBS        := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
THREADS     := 1
MEMORY_MB   := 128
PYTHON      := .venv/bin/python
TRAINER     = $(PYTHON)
RUN         :=
A           := $(ARTIFACTS)/$(PLAN)
STORE       := $(A)/store
EXPORT      := $(A)/export
# What a run was given is remembered, so that a single stage can be run again without naming it.
remembered  = $(shell sed -n $2p $(A)/$1.txt 2>/dev/null)
DATA        := $(if $(filter demo,$(PLAN)),$(A)/records,$(call remembered,data,1))
DESCRIPTION := $(if $(filter command line,$(origin DATA)),,$(call remembered,data,2))
HOLDOUT     := $(or $(call remembered,holdout,1),0.1)
# Records without labels, or whose labels are not to be read, as more videos for the students.
UNLABELLED  := $(call remembered,unlabelled,1)
RECORDS     := $(DATA)
OUT         := $(A)/submission.csv
PARTITION   :=
SHARDS      := 1,1
MIRROR      := us
CONNECTIONS := 4
PARTS       :=
DEVICE      := cpu

SHELL         := /bin/sh
# Only the first make sets -j: one that another make calls shares its jobs.
MAKEFLAGS     += --no-builtin-rules --no-print-directory $(if $(filter 0,$(MAKELEVEL)),-j$(JOBS))
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help
# Threads of one job; jobs x threads beyond the cores make everything crawl.
export OMP_NUM_THREADS := $(THREADS)
export PYTHONUNBUFFERED := 1
# Of the data's files, what one job keeps in memory: yt8m/base/arrays.py.
export YT8M_MEMORY_MB := $(MEMORY_MB)
# Large blocks of memory in pages of 2 MB, where glibc (from 2.35) and Linux can: 4 % of a training step.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

PLANS  := $(notdir $(patsubst %/,%,$(wildcard first_level/configs/*/)))
$(if $(filter $(PLAN),$(PLANS)),,$(error no plan '$(PLAN)'; plans: $(PLANS)))
MODELS := $(notdir $(basename $(wildcard first_level/configs/$(PLAN)/*.toml)))
FOLDS  := 0 1 2 3 4
LETTERS := e f a b c d
TABLED := first_level stacking distill
VENV   := $(if $(YT8M_COMPARE),,$(if $(filter .venv/bin/python,$(PYTHON)),.venv/requirements.lock))
# Runs alone at the end of a chain, so it may have all cores.
ALONE  := OMP_NUM_THREADS=$$(( $(JOBS) * $(THREADS) ))

.PHONY: help all demo download test lint format venv folds first_level models segments stacking distill export \
        evaluate submission table report status finished bench plan-cost clean live FORCE
FORCE:

# ---- on a terminal: the same make again, its lines in a pipe, with a live view of its jobs -----------
VIEWED := all demo folds first_level segments stacking distill export
PLAIN  := $(strip $(foreach f,n q t s,$(findstring $f,$(filter-out -%,$(firstword $(MAKEFLAGS))))) $(filter-out 0,$(MAKELEVEL)))
ifneq ($(and $(MAKE_TERMOUT),$(filter-out dumb,$(TERM)),$(filter $(VIEWED),$(MAKECMDGOALS)),$(if $(PLAIN),,live)),)
$(sort $(MAKECMDGOALS)): live ; @:
live:
	@$(if $(VENV),$(MAKE) -s $(VENV))
	@exec $(PYTHON) -m jobs.live $(A) $(MAKECMDGOALS) --make $(MAKE_COMMAND) --jobs $(JOBS)
else # up to the end of this file

help: ## this list
	@sed -n 's/^\([a-z_-]*\):.*## /\1\t/p' Makefile | sort | awk -F'\t' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "settings: $(SETTINGS)"

# ---- for everyone ----------------------------------------------------------------------------------
all: finished ## everything, ending with the table and the report: make all PLAN=small DATA=folder
	@$(REPORTED)

demo: finished ## the whole pipeline on generated records, in a few minutes
	@$(PYTHON) -m report.denoising $(A)
	@$(REPORTED)

finished: $(A)/summary.json $(A)/report.html $(TABLED:%=$(A)/%/table.txt)
	@$(PYTHON) -m report.table $<
REPORTED = printf '\nthe report, for a browser: %s\n' $(A)/report.html

download: | $(VENV) ## public shards into DATA: make download PARTITION=2/video/train SHARDS=1,100 DATA=folder
	@test -n "$(PARTITION)" -a "$(origin DATA)" != file || \
	  { echo "error: make: say PARTITION=2/video/train and DATA=<folder to put it in>" >&2; exit 2; }
	$(RUN) $(PYTHON) -m folds.download '$(PARTITION)' '$(DATA)' --shards '$(SHARDS)' --mirror '$(MIRROR)' --connections $(CONNECTIONS)

test: | $(VENV) ## the tests
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n $(JOBS) --dist loadfile

lint: | $(VENV) ## ruff and the format check
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: | $(VENV) ## writes the format
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

venv: .venv/requirements.lock ## the environment, from requirements.lock
.venv/requirements.lock: requirements.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: python3 is older than 3.11; install a newer one" >&2; exit 2; }
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	cp requirements.lock $@.tmp && mv $@.tmp $@

status: ## per stage what is done, stale, missing; what `make all` would run, and how long
	@test -x "$$(command -v $(PYTHON))" || { echo "error: make: there is no $(PYTHON) yet; run \`make venv\`" >&2; exit 2; }
	@$(PYTHON) -m jobs.status $(A) --make $(MAKE_COMMAND) --jobs $(JOBS)

clean: ## removes the results of PLAN
	rm -rf $(A)

# ---- snapshots of settings: rewritten only when they say something else ------------------------------
define keep # $(call keep,command that prints it)
@mkdir -p $(@D); { $1; } > $@.tmp; if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi
endef
ifdef YT8M_COMPARE # nothing is written, and no job can run
keep = @{ $1; } | cmp -s - $@ || echo $@
override RUN := exit 1;
endif
shards_of = find -L '$1' -name '*.tfrecord*' -exec ls -Lnl --time-style=+%s {} + 2>/dev/null | sort
$(A)/data.txt: FORCE $(if $(YT8M_COMPARE),,$(if $(filter $(A)/records,$(DATA)),$(A)/records/dataset.toml))
	@test -n "$(DATA)" || { echo "error: make: DATA is not given; say DATA=<folder of records>" >&2; exit 2; }
	$(call keep,echo '$(DATA)'; echo '$(DESCRIPTION)'; \
	  $(call shards_of,$(DATA)))
$(A)/unlabelled.txt: FORCE
	$(call keep,echo '$(UNLABELLED)'$(if $(UNLABELLED),; $(call shards_of,$(UNLABELLED))))
$(A)/holdout.txt: FORCE
	$(call keep,echo '$(HOLDOUT)')
$(A)/videos.txt: FORCE
	$(call keep,echo '$(VIDEOS)')
$(A)/budget.txt: FORCE
	$(call keep,echo '$(BUDGET_MB) $(DTYPE)')

# ---- 1. folds --------------------------------------------------------------------------------------
folds: $(A)/folds.safetensors ## records -> store, holdout and five folds
$(A)/records/dataset.toml: | $(VENV)
	$(RUN) $(PYTHON) -m yt8m.records.synthetic $(@D) --frames --videos 4000 --classes 80 --rgb 128 --audio 32
$(STORE)/manifest.json: $(A)/data.txt | $(VENV)
	$(RUN) $(PYTHON) -m folds.decode '$(DATA)' $(STORE) $(if $(DESCRIPTION),--description '$(DESCRIPTION)') --jobs $(JOBS)
$(STORE)/unlabelled/manifest.json: $(A)/unlabelled.txt $(STORE)/manifest.json
	$(RUN) $(PYTHON) -m folds.unlabelled '$(UNLABELLED)' $(STORE) --jobs $(JOBS)
$(A)/folds.safetensors: $(STORE)/manifest.json $(A)/holdout.txt
	$(RUN) $(PYTHON) -m folds.assign $(STORE) $@ --holdout $(HOLDOUT)

# ---- 2. first_level: one job per (model, fold) -------------------------------------------------------
$(A)/first_level/models.txt: FORCE | $(VENV)
	@$(PYTHON) -m first_level.config first_level/configs/$(PLAN) $(@D)
# A recipe that a dry run runs too: it then looks whether the file is another one.
$(MODELS:%=$(A)/first_level/%/config.json): $(A)/first_level/models.txt ; +@:

# Models that a model's TOML names as its teachers, which must be trained before.
teachers_of = $(shell sed 's/\#.*//' first_level/configs/$(PLAN)/$1.toml | tr '\n' ' ' | \
  sed -n 's/.*\[teachers\][^[]*models *= *\[\([^]]*\)\].*/\1/p' | tr "\"'," "   ")
# Weights that a model's TOML begins with: a file, or the folder of an export.
started_from = $(shell sed 's/\#.*//' first_level/configs/$(PLAN)/$1.toml | tr '\n' ' ' | \
  sed -n "s/.*\[start\][^[]*weights *= *[\"']\([^\"']*\).*/\1/p")
file_of = $(if $(wildcard $1/model.json),$1/model.json,$(wildcard $1))
STARTED := $(notdir $(basename $(shell grep -ls '^\[start\]' first_level/configs/$(PLAN)/*.toml)))
TAUGHT := $(notdir $(basename $(shell grep -ls '^\[teachers\]' first_level/configs/$(PLAN)/*.toml)))
PREDICTIONS :=
define first_level_job # model, fold, teachers, weights it begins with
$(A)/first_level/$1/fold$2/predictions.safetensors: $(A)/first_level/$1/config.json $(A)/folds.safetensors $(3:%=$(A)/first_level/%/fold$2/predictions.safetensors) $4
	$$(RUN) $$(TRAINER) -m first_level.train $$< $(STORE) $(A)/folds.safetensors $$(@D) --fold $2 --threads $(THREADS)
PREDICTIONS += $(A)/first_level/$1/fold$2/predictions.safetensors
$(A)/first_level/$1/fold$2/unlabelled.safetensors: $(A)/first_level/$1/fold$2/predictions.safetensors $(STORE)/unlabelled/manifest.json
	$$(RUN) $$(PYTHON) -m first_level.predict $(A)/first_level/$1/config.json $(STORE) $(A)/folds.safetensors $$(@D) --fold $2 --threads $(THREADS)
endef
$(foreach m,$(TAUGHT),$(eval t_$m := $(call teachers_of,$m)))
$(foreach m,$(STARTED),$(eval s_$m := $(call file_of,$(call started_from,$m))))
$(foreach m,$(MODELS),$(foreach k,$(FOLDS),$(eval $(call first_level_job,$m,$k,$(t_$m),$(s_$m)))))
first_level: $(PREDICTIONS) ## every model of PLAN on every fold
models: | $(VENV) ## PLAN's models: architecture, inputs, parameters, loss, mixup, GAP@20
	@$(PYTHON) -m first_level.table first_level/configs/$(PLAN) $(A)/first_level $(STORE)

# Models with a table [segments], fine-tuned on 5-second segments: a branch that `all` does without.
SEGMENTED := $(notdir $(basename $(shell grep -ls '^\[segments\]' first_level/configs/$(PLAN)/*.toml)))
SEGMENTS  := $(SEGMENTED:%=$(A)/first_level/%/segments)
$(SEGMENTS:%=%/config.json): $(A)/first_level/models.txt ; +@:
define segments_job
$1/fold$2/predictions.safetensors: $1/config.json $(patsubst %/,%,$(dir $1))/fold$2/predictions.safetensors
	$$(RUN) $$(PYTHON) -m first_level.segments.train $$< $(STORE) $(A)/folds.safetensors $(patsubst %/,%,$(dir $1))/fold$2 $$(@D) --fold $2 --threads $(THREADS)
$1/submission.csv: $1/fold$2/predictions.safetensors
endef
$(foreach s,$(SEGMENTS),$(foreach k,$(FOLDS),$(eval $(call segments_job,$s,$k))))
$(SEGMENTS:%=%/submission.csv):
	$(RUN) $(PYTHON) -m first_level.segments.submission $^ $@
segments: $(SEGMENTS:%=%/submission.csv) ## 5-second segments by PLAN's models with a table [segments]
	@test -n "$^" || { echo "error: make: no model of plan $(PLAN) has a table [segments]" >&2; exit 2; }
	@$(PYTHON) -m report.segments $(SEGMENTS)

# ---- 3. stacking -------------------------------------------------------------------------------------
S := $(A)/stacking
$(S)/config.json: FORCE | $(VENV)
	@$(PYTHON) -m stacking.config stacking/configs/$(PLAN).toml $@
define stacked_fold
$(S)/fold$1/rows/rows.json: $(S)/config.json $(A)/first_level/models.txt $(A)/folds.safetensors $(foreach m,$(MODELS),$(A)/first_level/$m/fold$1/predictions.safetensors)
	$$(RUN) $$(PYTHON) -m stacking.rows $$< $(A)/first_level/models.txt $(A) $(STORE) $(A)/folds.safetensors $$(@D) --fold $1
$(S)/fold$1/model.txt: $(S)/config.json $(FOLDS:%=$(S)/fold%/rows/rows.json)
	$$(RUN) $$(PYTHON) -m stacking.train $$< $(S) $$@ --fold $1 --threads $(THREADS)
$(S)/fold$1/predictions.safetensors: $(S)/fold$1/model.txt
	$$(RUN) $$(PYTHON) -m stacking.predict $(S)/config.json $$(@D)/rows $$< $$@ --fold $1 --threads $(THREADS)
$(S)/fold$1/unlabelled.safetensors: $(S)/fold$1/model.txt $(foreach m,$(MODELS),$(A)/first_level/$m/fold$1/unlabelled.safetensors)
	$$(RUN) $$(PYTHON) -m stacking.unlabelled $(S)/config.json $$(@D)/rows $$< $(A) $(STORE) $(A)/folds.safetensors $$@ --fold $1 --threads $(THREADS)
endef
$(foreach k,$(FOLDS),$(eval $(call stacked_fold,$k)))
$(S)/soft_labels.safetensors: $(FOLDS:%=$(S)/fold%/predictions.safetensors)
	$(RUN) $(PYTHON) -m stacking.soft_labels $(S) $(STORE) $(A)/folds.safetensors $@
$(S)/unlabelled.safetensors: $(FOLDS:%=$(S)/fold%/unlabelled.safetensors)
	$(RUN) $(PYTHON) -m stacking.soft_labels $(S) $(STORE) $(A)/folds.safetensors $@ --unlabelled
$(S)/report.json: $(FOLDS:%=$(S)/fold%/predictions.safetensors)
	$(RUN) $(PYTHON) -m stacking.report $(S)/config.json $(A)/first_level/models.txt $(A) $(STORE) $(A)/folds.safetensors $@
stacking: $(S)/soft_labels.safetensors $(S)/report.json ## LightGBM over the predictions; soft labels

# ---- 4. distill --------------------------------------------------------------------------------------
D := $(A)/distill
$(D)/config.json: FORCE | $(VENV)
	@$(PYTHON) -m distill.config distill/configs/$(PLAN).toml $@
# What of it each part is made from: its own snapshot, so that a change trains again what it concerns.
$(D)/members.txt $(D)/student.json $(D)/resnet.json $(D)/refit.json: $(D)/config.json ; +@:
# What UNLABELLED adds: nothing until it is first given. Then its snapshot too, for when it is given up.
MORE := $(if $(UNLABELLED),$(S)/unlabelled.safetensors)
MORE_FROM := $(if $(UNLABELLED),$(A)/unlabelled.txt,$(wildcard $(A)/unlabelled.txt)) $(MORE)
ALSO := $(if $(MORE), --unlabelled $(MORE))
$(D)/resnet/weights.safetensors: $(D)/resnet.json $(S)/soft_labels.safetensors $(MORE_FROM)
	$(RUN) $(PYTHON) -m distill.train $(D)/config.json $(STORE) $(A)/folds.safetensors $(S)/soft_labels.safetensors $(@D) --part resnet --threads $(THREADS)$(ALSO)

# The re-ranked student: the models of [refit] trained again, and LightGBM over their predictions.
refit_table = awk '/^\[/ { s = /^\[refit\]/ } s' distill/configs/$(PLAN).toml 2>/dev/null | sed 's/\#.*//'
refit_says = $(shell $(refit_table) | tr '\n' ' ' | sed -n 's/.*$1 *= *\[*\([^]=]*\).*/\1/p' | sed 's/[a-z]* *$$//' | tr "\"'," "   ")
REFIT  := $(call refit_says,models)
$(foreach m,$(REFIT),$(if $(filter $m,$(MODELS)),,$(error distill/configs/$(PLAN).toml: [refit] names '$m', \
  which is no model of first_level/configs/$(PLAN); there are: $(MODELS))))
REFIT_MORE := $(shell $(refit_table) | grep -E '^ *unlabelled *= *true')
HANDED := $(call refit_says,folds)
COPIES := $(shell seq 0 $$(( $(or $(firstword $(call refit_says,copies)),1) - 1 )))
REFITS := $(foreach m,$(filter-out $(HANDED),$(REFIT)),$(COPIES:%=$(D)/refit/$m/copy%/weights.safetensors))
define refit_job # model, copy
$(D)/refit/$1/copy$2/weights.safetensors: $(D)/refit.json $(A)/first_level/$1/config.json $(S)/soft_labels.safetensors $(if $(REFIT_MORE),$(MORE_FROM))
	$$(RUN) $$(PYTHON) -m distill.refit $(D)/config.json $(A)/first_level/$1/config.json $(STORE) $(A)/folds.safetensors $(S)/soft_labels.safetensors $$(@D) --copy $2 --threads $(THREADS)$(if $(REFIT_MORE),$(ALSO))
endef
$(foreach m,$(REFIT),$(foreach c,$(COPIES),$(eval $(call refit_job,$m,$c))))
define reranker_rows # fold
$(D)/reranker/fold$1/rows/rows.json: $(S)/config.json $(D)/members.txt $(A)/folds.safetensors $(foreach m,$(REFIT),$(A)/first_level/$m/fold$1/predictions.safetensors)
	$$(RUN) $$(PYTHON) -m stacking.rows $$< $(D)/members.txt $(A) $(STORE) $(A)/folds.safetensors $$(@D) --fold $1 --no-frames
endef
$(foreach k,$(FOLDS),$(eval $(call reranker_rows,$k)))
$(D)/reranker/model.txt: $(S)/config.json $(FOLDS:%=$(D)/reranker/fold%/rows/rows.json)
	$(RUN) $(PYTHON) -m stacking.train $< $(D)/reranker $@ --fold -1 --threads $(THREADS)
# Packing also writes the trees and the counts; if they are gone it packs again.
$(D)/reranker/reranker.json: $(D)/reranker/model.txt $(if $(and $(wildcard $(D)/reranker/reranker.onnx),$(wildcard $(D)/reranker/reranker.safetensors)),,FORCE)
	$(RUN) $(PYTHON) -m distill.export.reranker $(S)/config.json $< $(D)/reranker/fold0/rows/rows.json $(STORE) $(A)/folds.safetensors $(@D)

# The paper's student, of plans without [refit]: six extractors, and layers over all of them.
$(LETTERS:%=$(D)/extractor_%/weights.safetensors): $(D)/extractor_%/weights.safetensors: $(D)/student.json $(S)/soft_labels.safetensors $(MORE_FROM)
	$(RUN) $(PYTHON) -m distill.train $(D)/config.json $(STORE) $(A)/folds.safetensors $(S)/soft_labels.safetensors $(@D) --part $* --threads $(THREADS)$(ALSO)
$(D)/student/weights.safetensors: $(D)/student.json $(LETTERS:%=$(D)/extractor_%/weights.safetensors) | $(D)/resnet/weights.safetensors
	$(ALONE) $(RUN) $(PYTHON) -m distill.train $(D)/config.json $(STORE) $(A)/folds.safetensors $(S)/soft_labels.safetensors $(@D) --part last --threads $$(( $(JOBS) * $(THREADS) ))$(ALSO)
STUDENT := $(if $(REFIT),$(REFITS) $(D)/reranker/reranker.json,$(D)/student/weights.safetensors)
# The ResNetLike is named first: it takes longest, and make starts jobs in this order.
STUDENTS := $(D)/resnet/weights.safetensors $(STUDENT)
distill: $(STUDENTS) ## the students, on soft labels

# ---- a table for each of these stages: shown when the stage did something, or is asked for by name -----
define stage_table # stage, what it is made from
$(A)/$1/table.txt: $2
	@$$(PYTHON) -m report.stage $1 $(A) $$@$(if $(filter $1,$(MAKECMDGOALS)),, && cat $$@)
$1: $(A)/$1/table.txt
	@cat $$<
endef
$(eval $(call stage_table,first_level,$(PREDICTIONS)))
$(eval $(call stage_table,stacking,$(S)/report.json))
$(eval $(call stage_table,distill,$(STUDENTS)))

# ---- 5. export and its figures -----------------------------------------------------------------------
$(A)/export/model.json: $(D)/config.json $(STUDENTS) $(A)/budget.txt
	$(ALONE) $(RUN) $(PYTHON) -m distill.export.write $(D) $(D)/config.json $(STORE) $(@D) --budget-mb $(BUDGET_MB) $(if $(DTYPE),--dtype $(DTYPE)) --plan $(PLAN)
export: $(A)/export/model.json ## one folder to hand over: safetensors, JSON, ONNX; within BUDGET_MB
# Scoring also writes the export's predictions; if they are gone it scores again.
$(A)/evaluation.json: $(A)/export/model.json $(if $(wildcard $(A)/evaluation_predictions.safetensors),,FORCE)
	$(ALONE) $(RUN) $(PYTHON) -m distill.export.score $(@D)/export $(STORE) $(A)/folds.safetensors $@
evaluate: $(A)/evaluation.json ## the export's six figures on the holdout
	@cat $<
submission: $(EXPORT)/model.json ## predictions of RECORDS (default: DATA) as OUT, by EXPORT
	$(ALONE) $(RUN) $(PYTHON) -m distill.predict $(EXPORT) $(RECORDS) $(OUT)
$(A)/summary.json: $(S)/report.json $(A)/evaluation.json
	@$(PYTHON) -m report.summary $(A) $@
bench: | $(VENV) ## ratios to other ways, into bench/results: make bench PARTS="decode rows"
	$(ALONE) $(PYTHON) -m bench.speed.run bench/results --parts "$(PARTS)"
plan-cost: | $(VENV) ## hours, disk and memory: make plan-cost PLAN=paper VIDEOS=5600000 DEVICE=h200
	@$(PYTHON) -m jobs.plan_cost $(PLAN) --videos $(if $(filter command line,$(origin VIDEOS)),$(VIDEOS),5600000) --device $(DEVICE) --cores $(JOBS)
table: $(A)/summary.json ## the table of all systems
	@$(PYTHON) -m report.table $<
$(A)/report.html: $(A)/summary.json $(S)/soft_labels.safetensors $(A)/videos.txt
	$(RUN) $(PYTHON) -m report.page $(A) $(STORE) $@ --videos $(VIDEOS)
report: $(A)/report.html ## one HTML file: systems, figures, errors, predictions of VIDEOS videos
	@$(REPORTED)
endif
