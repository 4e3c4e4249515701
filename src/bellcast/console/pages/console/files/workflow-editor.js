/**
 * The editor of a workflow: the canvas, a step's form, the same definition as YAML, checks, drafts, and publishing.
 */
import { copyPart } from './clipboard.js';
import { Field, Form } from './form.js';
import { count } from './format.js';
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { Failure, loadStyle, useLoad } from './load.js';
import { DownloadFiles, IN_CODE, ManagedBanner, isLocked } from './managed.js';
import { Icon, Opening } from './parts.js';
import { BUILDERS } from './roles.js';
import { scopeOf, setQuery } from './router.js';
import { get, withQuery } from './server.js';
import { session } from './storage.js';
import { tenantName } from './tenant-names.js';
import { Flow } from './workflow-canvas.js';
import { createDraft, readDrafted } from './draft.js';
import { ConflictDialog, Dialog, NewObject, Review, SaveState, StepList, Starters, UndoRedo, YamlNote, obstacleOf } from './draft-parts.js';
import { DraftYaml, FieldHelp, ProblemList } from './draft-yaml.js';
import { Segments } from './segments.js';
import { ActionMenu, PATTERNS, TypeMenu, stepsOfStarter } from './workflow-dialogs.js';
import { RunsBar, StepRuns, useRunCounts } from './workflow-counts.js';
import { Inspector, Variables } from './workflow-inspector.js';
import { copyOf, differencesOf, freeKey, inserted, isBefore, isLane, itemOf, laneOf, listOf, moved, movedBy, newStep, pathOfKey, placeOf, removed, renamed, stepPathOf, stepsOf, usersBelow, usersOf, valueAt, withNotes } from './workflow-model.js';
import { Recorded } from './workflow-run.js';
import { TestPanel, createTest, statesOf } from './workflow-test.js';
import { valuesOf } from './yaml.js';

/** Widths in px below which nothing can be edited: the canvas and the forms have no room. */
const READ_ONLY_PX = 640;
const ZOOMS = [50, 75, 100, 125, 150];
const COPIED = 'application/x-bellcast-step';

await loadStyle('workflow-editor.css');

const copy = (step) => copyPart(COPIED, step);

/** Workflows as a kind with drafts. */
const KIND = { plural: 'workflows', name: 'workflow', note: 'Sends through several channels, with delays, conditions and digests.', differencesOf, withNotes };

/** The page that names a new workflow. */
export const NewWorkflow = ({ page }) => html`<${NewObject} page=${page} kind=${KIND} hint="Your app triggers it by this key, such as booking-reminder." patterns=${PATTERNS} none=${{ title: 'Empty canvas', text: 'Add each step yourself', picture: html`<span class="step-icon none"><${Icon} name="plus" /></span>` }} first="Remind by e-mail" preview=${(title) => html`<${StepList} of=${stepsOfStarter(title)} />`} steps=${[['branch', 'Edit the steps', 'On the canvas or as YAML. Each change is saved in a draft.'], ['playground', 'Test it', 'See what a recipient would get, and when. Nothing is sent.'], ['ok', 'Publish', 'New triggers use the version; current runs keep theirs.']]} />`;

/** The page of a workflow's editor. */
export function WorkflowEditor({ page }) {
  const tenant = page.query.get('tenant')?.replace(/^\*$/, '') ?? '';
  if (page.query.get('run') || page.query.get('version')) return html`<${Recorded} page=${page} tenant=${tenant} copy=${copy} />`;
  return html`<${Drafted} page=${page} tenant=${tenant} />`;
}

function Drafted({ page, tenant }) {
  const loaded = useLoad(async (signal) => {
    const [schema, found] = await Promise.all([get('/v1/schemas/workflow', signal), readDrafted(KIND, page.key, tenant, signal)]);
    return { schema, ...found };
  }, [page.key, tenant]);
  return html`<${Opening} page=${page} of=${loaded}>${(found) => html`<${Editor} key=${`${page.key} ${tenant}`} page=${page} tenant=${tenant} found=${found} />`}<//>`;
}

const useWidth = () => {
  const [width, setWidth] = useState(innerWidth);
  useEffect(() => {
    const change = () => setWidth(innerWidth);
    addEventListener('resize', change);
    return () => removeEventListener('resize', change);
  }, []);
  return width;
};

function Editor({ page, tenant, found }) {
  const { schema } = found;
  const draft = useMemo(() => {
    const one = createDraft({ kind: KIND, key: page.key, tenant, me: page.me, ...found });
    one.freeKey = (key) => freeKey(one.values.value, key);
    if (found.inherited && !found.draft && one.isNew.value && !one.values.value.steps) one.change(valuesOf(found.inherited));
    const starter = stepsOfStarter(page.query.get('starter'));
    if (starter && page.may(BUILDERS) && one.isNew.value && !one.values.value.steps) one.change({ ...one.values.value, steps: starter });
    return one;
  }, []);
  useEffect(() => { if (page.query.has('starter')) setQuery({ starter: null }, { isQuiet: true }); }, []);
  useEffect(() => () => draft.close(), []);
  const test = useMemo(() => createTest({ draft, key: page.key, tenant }), []);
  const width = useWidth();
  const isNarrow = width < READ_ONLY_PX;
  const inCode = draft.current.value?.in_code;
  const mayEdit = page.may(BUILDERS) && !isNarrow && !draft.refusal.value && !inCode;
  const values = draft.values.value;
  const view = page.query.get('view') === 'yaml' ? 'yaml' : 'canvas';
  const setView = (next) => setQuery({ view: next }, { isQuiet: true });
  // A change of the steps would replace the YAML that cannot be read.
  const mayChange = mayEdit && !draft.isUnread.value;
  const hasSteps = Array.isArray(values.steps) && values.steps.length > 0;
  useEffect(() => { if (mayEdit && hasSteps && draft.problems.value.length === 0) draft.check(); }, []);
  const isTesting = test.isOpen.value && hasSteps && !isNarrow;
  const [selected, setSelected] = useState(() => (page.query.get('step') === null ? null : pathOfKey(values, page.query.get('step'))));
  const [isInspecting, setInspecting] = useState(selected !== null);
  const [menu, setMenu] = useState(null);
  const [dialog, setDialog] = useState(null);
  const [announced, setAnnounced] = useState('');
  const [isWarning, setWarning] = useState(false);
  const [zoom, setZoom] = useState(100);
  const [closed, setClosed] = useState(new Set());
  const root = useRef(null);
  const focusNext = useRef(null);
  /** The field that gets the focus when its form is shown; an empty text for the first one. */
  const fieldNext = useRef(null);
  const [, redraw] = useState(0);

  // A change can move the card that has the focus.
  useLayoutEffect(() => {
    const form = root.current?.querySelector('.inspector-fields');
    if (form && fieldNext.current !== null) {
      controlOf(form, fieldNext.current)?.focus();
      fieldNext.current = null;
    }
    if (focusNext.current === null) return;
    const item = root.current?.querySelector(`[data-path="${CSS.escape(focusNext.current)}"]`);
    focusNext.current = null;
    item?.focus();
    item?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  });
  const keyOfPath = (path) => (path ? valueAt(values, path)?.key ?? (path === 'trigger' ? null : valueAt(values, stepPathOf(path) ?? '')?.key) : null);
  useEffect(() => {
    const key = isInspecting ? keyOfPath(selected) ?? null : null;
    const url = new URL(location.href);
    if (url.searchParams.get('step') === key) return;
    if (key === null) url.searchParams.delete('step');
    else url.searchParams.set('step', key);
    history.replaceState(history.state, '', url);
  }, [selected, isInspecting]);

  const say = (text) => setAnnounced(`${text}${announced.endsWith(' ') ? '' : ' '}`);
  const focus = (path) => {
    focusNext.current = path;
    setSelected(path);
  };
  /** Show an item on the canvas, also in a branch that is closed. */
  const reveal = (path) => {
    setView(null);
    if ([...closed].some((one) => path.startsWith(`${one}.`))) setClosed(new Set([...closed].filter((one) => !path.startsWith(`${one}.`))));
  };
  const keyAt = (path) => valueAt(draft.values.value, path)?.key;
  const nameOf = (path) => keyAt(path) ?? laneOf(draft.values.value, { list: listOf(path) });
  const where = (all, path) => {
    const place = placeOf(path);
    const lane = laneOf(all, place);
    return `${place.index + 1} of ${valueAt(all, place.list).length}${lane ? `, ${lane}` : ''}`;
  };
  const apply = (result, words) => {
    draft.change(result.values);
    focus(result.path);
    say(`${words} ${where(result.values, result.path)}`);
  };
  /** Why a step or a branch cannot be moved. */
  const obstacle = (path, step) => {
    if (path.endsWith('.else')) return 'else is always the last';
    if (!isLane(path) && valueAt(draft.values.value, placeOf(path).list).length === 1) return 'it is the only step there';
    return `it is the ${step < 0 ? 'first' : 'last'}`;
  };
  const add = (list, index, step, name = step.key) => {
    const all = draft.values.value;
    apply({ values: inserted(all, list, index, step), path: `${list}.${index}` }, `${name} added at`);
  };
  const act = {
    select: (path) => {
      setSelected(path);
      if (path === null && !isTesting) setInspecting(false);
    },
    open: (path) => {
      setSelected(path);
      if (!isTesting) setInspecting(true);
    },
    edit: (path, field = '') => {
      test.isOpen.value = false;
      setSelected(path);
      setInspecting(true);
      redraw((last) => last + 1);
      fieldNext.current = field;
    },
    /** Show a problem in the form of its item. */
    correct: ({ field }) => {
      reveal(itemOf(field));
      act.edit(itemOf(field), field);
    },
    close: () => closeInspector(),
    fold: (path, isOpen) => {
      const next = new Set(closed);
      if (isOpen) next.add(path);
      else next.delete(path);
      setClosed(next);
      focus(path);
    },
    openMenu: (place) => setMenu({ kind: 'types', ...place }),
    openActions: (path, anchor) => {
      setSelected(path);
      setMenu({ kind: 'actions', path, anchor });
    },
    moveBy: (path, step) => {
      const result = movedBy(draft.values.value, path, step);
      if (result) apply(result, `${nameOf(path)} moved to`);
      else say(`${nameOf(path)} is not moved: ${obstacle(path, step)}`);
    },
    move: (path, list, index) => {
      const result = moved(draft.values.value, path, list, index);
      if (result) apply(result, `${nameOf(path)} moved to`);
    },
    duplicate: (path) => {
      const all = draft.values.value;
      const { list, index } = placeOf(path);
      const one = valueAt(all, path);
      if (isLane(path)) add(list, index + 1, copyOf(all, { branches: [one] }).branches[0], 'branch');
      else add(list, index + 1, copyOf(all, one));
    },
    remove: (path) => {
      const users = usersBelow(draft.values.value, path);
      if (users.length > 0) setDialog({ kind: 'remove', path, users });
      else act.removeNow(path);
    },
    removeNow: (path) => {
      const all = draft.values.value;
      const { list, index } = placeOf(path);
      const name = nameOf(path);
      const { length } = valueAt(all, list);
      draft.change(removed(all, path));
      const next = length > 1 && !isLane(path) ? `${list}.${Math.min(index, length - 2)}` : stepPathOf(list) ?? null;
      setSelected(next);
      focusNext.current = next;
      say(`${name} deleted`);
    },
    copy: (path) => {
      const step = valueAt(draft.values.value, path);
      copy(step);
      say(`${step.key} copied`);
    },
    cut: (path) => { act.copy(path); act.remove(path); },
    paste: (text, target = selected) => {
      let step = null;
      try { step = JSON.parse(text); } catch { /* another text */ }
      if (typeof step?.type !== 'string' || typeof step.key !== 'string') return;
      const all = draft.values.value;
      const place = target && isLane(target) ? { list: listOf(target), index: -1 } : target && valueAt(all, target)?.type ? placeOf(target) : { list: 'steps', index: (all.steps?.length ?? 0) - 1 };
      add(place.list, place.index + 1, copyOf(all, step));
    },
    rename: (path) => setDialog({ kind: 'rename', path }),
    nextProblem: (step) => {
      const order = [...new Set(draft.problems.value.map(({ field }) => itemOf(field)))].sort((one, other) => (isBefore(one, other) ? -1 : 1));
      if (order.length === 0) return;
      const next = step > 0 ? order.find((one) => selected && isBefore(selected, one)) ?? order[0] : order.findLast((one) => selected && isBefore(one, selected)) ?? order.at(-1);
      reveal(next);
      focus(next);
    },
    undo: () => { if (rewind(draft.undo)) say('Undone'); },
    redo: () => { if (rewind(draft.redo)) say('Redone'); },
  };
  /** Undo or redo. The focus follows its step, or moves to the one before it if the step is gone. */
  const rewind = (change) => {
    const path = document.activeElement?.dataset.path, key = path && keyAt(path);
    const index = stepsOf(draft.values.value).findIndex((one) => one.path === path);
    if (!change()) return false;
    if (path && keyAt(path) !== key) focus(pathOfKey(draft.values.value, key) ?? stepsOf(draft.values.value)[Math.max(0, index - 1)]?.path ?? null);
    return true;
  };
  const mayReview = mayEdit && !isLocked(draft.current.value) && obstacleOf(draft) === null;
  const review = () => { if (mayReview) setDialog({ kind: 'review' }); };
  const chooseType = (type, isPointer) => {
    const { list, index } = menu;
    setMenu(null);
    if (isPointer) setInspecting(true);
    const step = newStep(draft.values.value, type);
    add(list, index, step);
  };
  const actionsOf = (path) => [
    ['Edit', 'Enter', () => act.edit(path)], ['Add a step before', 'Shift+A', () => act.openMenu({ ...placeOf(path), anchor: menu.anchor })],
    ['Add a step after', 'A', () => act.openMenu({ list: placeOf(path).list, index: placeOf(path).index + 1, anchor: menu.anchor })],
    ['Move up', 'Alt+↑', () => act.moveBy(path, -1)], ['Move down', 'Alt+↓', () => act.moveBy(path, 1)], ['Rename', 'F2', () => act.rename(path)],
    ['Duplicate', 'D', () => act.duplicate(path)], ['Copy', 'Ctrl+C', () => act.copy(path)], ['Cut', 'Ctrl+X', () => act.cut(path)],
    ['Paste after', 'Ctrl+V', () => act.paste(session.getItem(COPIED), path)],
    draft.history.value.past.length > 0 && ['Undo', 'Ctrl+Z', act.undo], draft.history.value.future.length > 0 && ['Redo', 'Ctrl+Y', act.redo],
    ...(draft.problems.value.length > 0 ? [['Next problem', 'F8', () => act.nextProblem(1)], ['Previous problem', 'Shift+F8', () => act.nextProblem(-1)]] : []),
    mayReview && ['Review and publish', 'Ctrl+Enter', review], ['Delete', 'Del', () => act.remove(path), 'danger'],
  ].filter(Boolean);

  useLayoutEffect(() => {
    const isText = ({ target }) => target.closest?.('input, textarea, select, [contenteditable]');
    const keydown = (event) => {
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      const isControl = event.ctrlKey || event.metaKey;
      const key = event.key.toLowerCase();
      const isUndo = isControl && key === 'z' && !event.shiftKey;
      const isRedo = isControl && (key === 'y' || (key === 'z' && event.shiftKey));
      if ((isUndo || isRedo) && !event.target.closest?.('.yaml') && mayChange) {
        event.preventDefault();
        if (isUndo) act.undo();
        else act.redo();
      } else if (isControl && event.key === 'Enter') {
        event.preventDefault();
        review();
      } else if (event.key === 'F8' && !isText(event)) {
        event.preventDefault();
        act.nextProblem(event.shiftKey ? -1 : 1);
      }
    };
    const paste = (event) => {
      if (isText(event) || !mayChange || document.querySelector('dialog[open]')) return;
      const text = event.clipboardData?.getData('text/plain') || session.getItem(COPIED);
      if (text) act.paste(text, event.target.closest?.('[role=treeitem]')?.dataset.path ?? selected);
    };
    // Without a focused element, Escape would leave the page.
    const escape = (event) => {
      if (event.key !== 'Escape' || !isInspecting || ![document.body, document.getElementById('main')].includes(event.target)) return;
      event.preventDefault();
      closeInspector();
    };
    document.addEventListener('keydown', escape, { capture: true });
    document.addEventListener('keydown', keydown);
    document.addEventListener('paste', paste);
    return () => {
      document.removeEventListener('keydown', escape, { capture: true });
      document.removeEventListener('keydown', keydown);
      document.removeEventListener('paste', paste);
    };
  });
  const closeInspector = () => {
    setInspecting(false);
    focusNext.current = selected;
    redraw((last) => last + 1);
  };
  const closeTest = () => {
    test.isOpen.value = false;
    root.current?.querySelector('.test-button')?.focus();
  };
  const showTested = (path) => {
    setSelected(path);
    root.current?.querySelector(`[data-line="${CSS.escape(path)}"]`)?.scrollIntoView({ block: 'center', inline: 'center' });
  };
  const closeMenu = (isBack) => {
    if (isBack && menu?.kind === 'actions') focusNext.current = menu.path;
    else if (isBack) focusNext.current = selected;
    setMenu(null);
  };
  const problems = draft.problems.value, findings = draft.findings.value;
  const canHaveRuns = !draft.isNew.value || found.inherited;
  const runs = useRunCounts(page, tenant, values, view === 'canvas' && canHaveRuns);
  const tested = isTesting ? statesOf(test) : undefined;
  const canvas = { values, schema, selected, isReadOnly: !mayChange, problems, states: tested?.states ?? null, lane: tested?.lane, zoom: isNarrow ? 100 : zoom, isStacked: isNarrow, closed, runs: runs.isShown && !isTesting ? runs : null };
  const back = withQuery(page.url(draft.isNew.value ? '/workflows' : `/workflows/${encodeURIComponent(page.key)}`), scopeOf(page));
  return html`<div class=${`workflow-editor ${isTesting ? 'testing' : isInspecting && selected && view === 'canvas' ? 'inspecting' : ''}`} ref=${root}>
    <header class="editor-bar">
      <a class="quiet button" href=${back} aria-label="Back to the workflow"><${Icon} name="back" /></a>
      <h1 tabIndex="-1">${page.key}</h1>${tenant && html`<span class="tag" title=${tenant}>${tenantName(tenant)}</span>`}
      <${Segments} label="View" options=${[['canvas', 'Canvas'], ['yaml', 'YAML']]} value=${view} choose=${(one) => setView(one === 'canvas' ? null : one)} />
      <${SaveState} draft=${draft} isReadOnly=${!mayEdit} />
      <div class="editor-tools">${hasSteps && !isNarrow && html`<button type="button" class="test-button" aria-expanded=${String(isTesting)} onClick=${() => (isTesting ? closeTest() : (test.isOpen.value = true))}>Test</button>`}
        ${mayEdit && html`<${UndoRedo} draft=${draft} undo=${act.undo} redo=${act.redo} />
        ${(draft.isChanged.value || draft.hasDraft()) && html`<button type="button" class="quiet" title="Discard the draft" onClick=${() => setDialog({ kind: 'discard' })}>Discard</button>`}
        ${problems.length > 0 && html`<button type="button" class="problem-count" aria-label=${count(problems.length, 'problem')} onClick=${() => act.nextProblem(1)}><${Icon} name="bad" /> ${problems.length}<span class="on-wide">${problems.length === 1 ? ' problem' : ' problems'}</span></button>`}
        ${findings.length > 0 && view === 'canvas' && html`<button type="button" class="problem-count warning-count" aria-label=${count(findings.length, 'warning')} aria-expanded=${String(isWarning)} onClick=${() => setWarning(!isWarning)}><${Icon} name="warn" /> ${findings.length}<span class="on-wide">${findings.length === 1 ? ' warning' : ' warnings'}</span></button>`}
        ${isLocked(draft.current.value) ? html`<${DownloadFiles} kind="workflows" one=${draft.current.value} values=${draft.values.value} isPrimary />` : html`<button type="button" class="primary" disabled=${!mayReview} title=${obstacleOf(draft)} aria-label="Review and publish" onClick=${review}><span class="on-wide">Review and </span>publish</button>`}`}</div>
    </header>
    ${isNarrow && html`<p class="editor-note" role="note">On a small screen a workflow can be read. Open it on a wider one to edit it.</p>`}
    <${ManagedBanner} page=${page} kind="workflows" one=${draft.current.value} values=${draft.values.value} reload=${draft.reread} isDownloadable=${false} />
    ${(inCode || draft.refusal.value) && html`<p class="editor-note" role="note">${inCode ? IN_CODE : draft.refusal.value}</p>`}
    ${view === 'canvas' && mayEdit && html`<${YamlNote} draft=${draft} view="canvas" open=${() => setView('yaml')} />`}
    <div class="editor-main">
      ${view === 'yaml' ? html`<div class="yaml-place"><${DraftYaml} draft=${draft} isReadOnly=${!mayEdit} /><${FieldHelp} schema=${schema} isReadOnly=${!mayEdit} /></div>`
        : html`<div class="canvas">${!hasSteps && mayChange ? html`<div class="flow-scroll"><${Starters} of=${PATTERNS} start=${(title) => { draft.change({ ...draft.values.value, steps: stepsOfStarter(title) }); focus('steps.0'); }}><button type="button" class="quiet" onClick=${(event) => act.openMenu({ list: 'steps', index: 0, anchor: event.currentTarget })}><${Icon} name="plus" /> Or add a first step</button><//></div>`
          : html`<${Flow} canvas=${canvas} act=${act} />`}
          <div class="problem-lists"><${ProblemList} title="Problems" of=${problems.map(({ field, message }) => ({ field, message }))} values=${values} choose=${act.correct} /><${ProblemList} title="Warnings" of=${isWarning ? findings : []} values=${values} choose=${act.correct} /></div>
          ${hasSteps && html`<div class="canvas-bar">${!isNarrow && html`<div class="zoom" role="group" aria-label="Zoom"><button type="button" aria-label="Zoom out" aria-disabled=${zoom === ZOOMS[0] || null} onClick=${() => setZoom(ZOOMS[ZOOMS.indexOf(zoom) - 1] ?? zoom)}>−</button><button type="button" aria-label="Zoom 100 %" onClick=${() => setZoom(100)}>${zoom} %</button><button type="button" aria-label="Zoom in" aria-disabled=${zoom === ZOOMS.at(-1) || null} onClick=${() => setZoom(ZOOMS[ZOOMS.indexOf(zoom) + 1] ?? zoom)}>+</button></div>`}${!isTesting && canHaveRuns && html`<${RunsBar} runs=${runs} />`}</div>`}</div>`}
      ${isTesting && html`<${TestPanel} test=${test} schema=${schema} select=${showTested} selected=${selected} close=${closeTest} />`}
      ${view === 'canvas' && !isTesting && isInspecting && selected && html`<${Inspector} key=${selected} draft=${draft} path=${selected} schema=${schema} page=${page} isReadOnly=${!mayChange} close=${closeInspector} act=${act} more=${runs.isShown && html`<${StepRuns} runs=${runs} step=${keyOfPath(selected)} />`} />`}
    </div>
    <p class="hidden" role="status">${announced}</p>
    <${Variables} values=${values} />
    ${menu?.kind === 'types' && html`<${TypeMenu} anchor=${menu.anchor} after=${menu.index > 0 && keyAt(`${menu.list}.${menu.index - 1}`)} schema=${schema} choose=${chooseType} close=${closeMenu} paste=${session.getItem(COPIED) && (() => { const { list, index } = menu; setMenu(null); add(list, index, copyOf(draft.values.value, JSON.parse(session.getItem(COPIED)))); })} />`}
    ${menu?.kind === 'actions' && html`<${ActionMenu} anchor=${menu.anchor} label=${`Actions for ${keyAt(menu.path)}`} actions=${actionsOf(menu.path)} close=${closeMenu} />`}
    ${dialog?.kind === 'review' && html`<${Review} draft=${draft} close=${() => setDialog(null)} done=${say} />`}
    ${dialog?.kind === 'remove' && html`<${Dialog} label=${`Delete ${nameOf(dialog.path)}?`} close=${() => setDialog(null)}><p>${dialog.users.length === 1 ? 'This step names' : 'These steps name'} it or a step in it: ${dialog.users.join(', ')}. They must be changed before the workflow can be published.</p><div class="dialog-tools"><button type="button" onClick=${() => setDialog(null)}>Cancel</button><button type="button" class="danger" onClick=${() => { setDialog(null); act.removeNow(dialog.path); }}>Delete</button></div><//>`}
    ${dialog?.kind === 'rename' && html`<${Rename} draft=${draft} path=${dialog.path} close=${() => { focusNext.current = dialog.path; setDialog(null); }} done=${(key) => { say(`Renamed to ${key}`); }} />`}
    ${dialog?.kind === 'discard' && html`<${Dialog} label="Discard the draft?" close=${() => setDialog(null)}><p>The changes since the last publication are lost, also for other operators.</p><div class="dialog-tools"><button type="button" onClick=${() => setDialog(null)}>Cancel</button><button type="button" class="danger" onClick=${() => draft.discard().then(() => { setDialog(null); setSelected(null); }, (problem) => setDialog({ kind: 'failed', problem }))}>Discard</button></div><//>`}
    ${dialog?.kind === 'failed' && html`<${Dialog} label="Not done" close=${() => setDialog(null)}><${Failure} problem=${dialog.problem} /><//>`}
    ${draft.theirs.value && html`<${ConflictDialog} draft=${draft} />`}
  </div>`;
}

/** The control of a field in a form, or of the field that contains it; else the first one. */
function controlOf(form, field) {
  const fields = [...form.querySelectorAll('[data-field]')];
  const best = fields.findLast(({ dataset: { field: one } }) => `${field}.`.startsWith(`${one}.`)) ?? fields[0];
  best?.closest('details')?.setAttribute('open', '');
  return best?.matches('[role=group]') ? best.querySelector('input, select, textarea, button') : best;
}

function Rename({ draft, path, close, done }) {
  const step = valueAt(draft.values.value, path);
  const rename = async ({ key }) => {
    const wanted = key.trim();
    if (!/^[A-Za-z0-9_-]{1,100}$/.test(wanted)) throw new Error('A key has 1 to 100 characters of A-Z a-z 0-9 _ -');
    if (wanted !== step.key && pathOfKey(draft.values.value, wanted)) throw new Error(`Another step has the key ${wanted}.`);
    draft.change(renamed(draft.values.value, path, wanted));
    done(wanted);
    close();
  };
  const users = usersOf(draft.values.value, step.key);
  return html`<${Dialog} label=${`Rename ${step.key}`} close=${close}><${Form} button="Rename" send=${rename}><${Field} label="Key" name="key" defaultValue=${step.key} required maxLength="100" autoComplete="off" spellcheck=${false} hint=${users.length > 0 ? `References in ${users.join(', ')} change too.` : null} /><//><//>`;
}
