// The page: one state, a view for each thing shown, a live channel that feeds it.

import { startColourBar } from "./colourbar.js";
import { startControl } from "./control.js";
import { startFrame } from "./frame.js";
import { startHeader } from "./header.js";
import { startKeys } from "./keys.js";
import { startLedger } from "./ledger.js";
import { follow } from "./live.js";
import { startMapData } from "./mapdata.js";
import { startMapList } from "./maplist.js";
import { startMapView } from "./mapview.js";
import { startMultiples } from "./multiples.js";
import { startParticles } from "./particles.js";
import { startPatterns } from "./pattern.js";
import { startResidual } from "./residual.js";
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
  pattern: null,
  hover: null, // {y, x}
  voxel: null,
  voxelData: null,
  log: false,
  theme: null,
});

for (const start of [
  startHeader, startWarnings, startSlices, startMapList, startMapData, startMapView, startColourBar, startMultiples,
  startPatterns, startVoxel, startWilliamsonHall, startSinogram, startFrame, startResidual, startStrain, startParticles,
  startLedger, startControl,
]) start(store);
startKeys(store, startTheme(store));
follow(store);
