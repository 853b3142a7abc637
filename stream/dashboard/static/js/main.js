// The page: one state, a view for each thing shown, a live channel that feeds it.

import { startColourBar } from "./colourbar.js";
import { startCompare } from "./compare.js";
import { startComposite } from "./composite.js";
import { startControl } from "./control.js";
import { startElements } from "./elements.js";
import { startFrame } from "./frame.js";
import { startHeader } from "./header.js";
import { startKeys } from "./keys.js";
import { startLabels } from "./labels.js";
import { startLedger } from "./ledger.js";
import { follow } from "./live.js";
import { startMapData } from "./mapdata.js";
import { startMapList } from "./maplist.js";
import { startMapView } from "./mapview.js";
import { startMultiples } from "./multiples.js";
import { startParticles } from "./particles.js";
import { startPatterns } from "./pattern.js";
import { WHOLE } from "./place.js";
import { startProfile } from "./profile.js";
import { startReadout } from "./readout.js";
import { startRegions } from "./regions.js";
import { startResidual } from "./residual.js";
import { startSave } from "./save.js";
import { startSinogram } from "./sinogram.js";
import { startSlices } from "./slices.js";
import { createStore } from "./store.js";
import { startStrain } from "./strain.js";
import { startTheme } from "./theme.js";
import { startVoxel } from "./voxel.js";
import { startWarnings } from "./warnings.js";
import { startWilliamsonHall } from "./williamson_hall.js";

const store = createStore({
  status: null, // what /api/v1/status says
  heard: 0, // when it said so, by performance.now()
  link: null, // live | polling | lost
  problem: null, // why it is lost
  revision: 0,
  entries: [], // the maps there are
  entryId: null, // the chosen one
  slice: 0,
  manual: {}, // ranges set by hand, by map
  plane: null, // the array shown, with planeEntry, errors, mask, classes and limits
  view: WHOLE, // the part of the maps that is seen
  rgb: null, // the maps in red, green and blue, and
  composite: null, // their picture
  pattern: null,
  reflections: null, // where lines lie, of phases and standards
  regioning: false, // a drag over the pattern is a region
  region: null, // [low, high]
  sinogram: "global",
  hover: null, // {y, x}
  voxel: null,
  voxelData: null,
  lining: false, // a drag over the map is a line
  drawn: null, // {from, to} while it is dragged
  line: null,
  profile: null, // the patterns along it
  compared: null, // what this run and another come to
  log: false,
  theme: null,
});

for (const start of [
  startHeader, startWarnings, startSlices, startMapList, startMapData, startMapView, startReadout, startColourBar,
  startMultiples, startLabels, startPatterns, startProfile, startVoxel, startWilliamsonHall, startSinogram, startFrame,
  startResidual, startStrain, startParticles, startElements, startCompare, startLedger, startControl, startSave,
]) start(store);
startKeys(store, { theme: startTheme(store), regions: startRegions(store), composite: startComposite(store) });
follow(store);
